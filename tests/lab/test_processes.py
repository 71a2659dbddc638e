"""Recorded processes: found again, ended, and never mistaken for others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.polling import poll
from vmdash.lab.processes import ProcessRecord, living, spawn


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[ProcessRecord]:
    spawn(["sleep", "60"], record=tmp_path / "sleeper.pid", log=tmp_path / "log")
    record = living(tmp_path / "sleeper.pid")
    assert record
    yield record
    record.kill()


def test_a_spawned_process_is_the_one_that_is_recorded(sleeper: ProcessRecord) -> None:
    command = Path(f"/proc/{sleeper.pid}/cmdline")

    poll(lambda: command.read_bytes() == b"sleep\x0060\x00", what="the recorded process to become the command")


def test_a_killed_process_is_gone_at_once_and_can_be_killed_again(sleeper: ProcessRecord) -> None:
    sleeper.kill()
    assert not sleeper.is_alive()
    sleeper.kill()


def test_a_process_that_got_a_recorded_number_later_is_left_alone(sleeper: ProcessRecord) -> None:
    dataclasses.replace(sleeper, start_time="1").kill()
    dataclasses.replace(sleeper, boot_id="before-the-reboot").kill()

    assert sleeper.is_alive()


@pytest.mark.parametrize("content", ["", "123", "nonsense\n"])
def test_a_damaged_record_is_no_record(tmp_path: Path, content: str) -> None:
    (tmp_path / "record").write_text(content)

    assert ProcessRecord.read(tmp_path / "record") is None

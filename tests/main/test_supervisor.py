"""`manage.py run` keeps processes running and stops them in order."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.polling import poll_async
from vmdash.main import supervisor
from vmdash.main.supervisor import ProcessFailed, Program, Supervisor


class Stage:
    """A supervisor over programs that write to files in `directory`, and what they said."""

    def __init__(self, directory: Path, *programs: Program) -> None:
        self.directory = directory
        self.said: list[tuple[str, str]] = []
        self.supervisor = Supervisor(
            programs,
            directory=directory,
            environment=dict(os.environ),
            say=lambda name, line: self.said.append((name, line)),
        )

    async def run(self, when_ready: Callable[[], None] = lambda: None) -> None:
        """Run until `when_ready` asks for the end, or at once."""

        async def greet() -> None:
            when_ready()
            os.kill(os.getpid(), signal.SIGTERM)

        await asyncio.wait_for(self.supervisor.run(greet), 20)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_what_is_basic_starts_first_and_stops_last(tmp_path: Path) -> None:
    command = "trap 'echo {0} stops >> log; exit' TERM; echo {0} starts >> log; touch {0}; sleep 60 & wait"
    stage = Stage(
        tmp_path,
        Program("web", command.format("web"), (tmp_path / "web").exists),
        Program("redis", command.format("redis"), (tmp_path / "redis").exists, basic=True),
    )
    await stage.run()
    assert (tmp_path / "log").read_text().splitlines() == ["redis starts", "web starts", "web stops", "redis stops"]


async def test_a_process_that_ends_is_started_again(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    stage = Stage(
        tmp_path, Program("collector", "echo run >> runs; sleep 60 & echo $! > pid; wait $!; exit 3", lambda: True)
    )
    running = asyncio.create_task(stage.supervisor.run(lambda: asyncio.sleep(0)))

    async def pid() -> str:
        return (tmp_path / "pid").read_text().strip() if (tmp_path / "pid").exists() else ""

    first = await poll_async(pid)
    os.kill(int(first), signal.SIGKILL)

    async def again() -> bool:
        return await pid() not in {"", first}

    await poll_async(again)
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    assert ("collector", "It ended with exit code 3. It is started again in 1 s.") in stage.said


async def test_a_process_that_never_becomes_ready_stops_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0)
    stage = Stage(
        tmp_path,
        Program("redis", "echo $$ > pid; exec sleep 60", lambda: True, basic=True),
        Program("web", "echo no such port >&2; exit 1", lambda: False),
    )
    with pytest.raises(ProcessFailed, match="web ended 3 times before it was ready"):
        await stage.run()
    assert ("web", "no such port") in stage.said
    assert not is_alive(int((tmp_path / "pid").read_text()))


async def test_children_of_a_process_that_ignore_the_signal_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STOP_DEADLINE_S", 0.2)
    stubborn = "trap '' TERM; (trap '' TERM; while true; do sleep 60; done) & echo $! > pid; wait"
    stage = Stage(tmp_path, Program("console", stubborn, (tmp_path / "pid").exists))
    await stage.run()
    assert not is_alive(int((tmp_path / "pid").read_text()))


async def test_an_error_after_the_start_stops_everything(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Program("web", "echo $$ > pid; exec sleep 60", (tmp_path / "pid").exists))

    def fail() -> None:
        raise RuntimeError("The fleet did not come up.")

    with pytest.raises(RuntimeError, match="fleet"):
        await stage.run(fail)
    assert not is_alive(int((tmp_path / "pid").read_text()))

"""Faults of the environment are found at the start."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from vmdash import checks


def test_the_tests_own_environment_has_no_faults() -> None:
    assert checks.data_directory() == []
    assert checks.intervals() == []
    assert checks.plain_text_in_the_network() == []


def test_a_data_directory_that_cannot_be_written_is_an_error(settings: Settings) -> None:
    settings.DATA_DIR = Path("/proc/self")
    (error,) = checks.data_directory()
    assert "/proc/self" in error.msg


def test_a_fast_interval_longer_than_the_slow_one_is_an_error(settings: Settings) -> None:
    settings.FAST_INTERVAL_S, settings.SLOW_INTERVAL_S = 20, 10
    (error,) = checks.intervals()
    assert error.id == "vmdash.E003"


@pytest.mark.parametrize(
    ("address", "tls", "warnings"), [("0.0.0.0", False, 1), ("0.0.0.0", True, 0), ("::1", False, 0)]
)
def test_pages_for_the_network_need_tls(settings: Settings, address: str, tls: bool, warnings: int) -> None:
    settings.WEB_LISTEN, settings.TLS = (address, 8000), tls
    assert len(checks.plain_text_in_the_network()) == warnings

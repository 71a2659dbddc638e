"""Numbers, sizes and times in words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from vmdash import formats


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "–"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (16 * 1024**3, "16 GiB"), (150 * 1024, "150 KiB")],
)
def test_sizes(value: float | None, words: str) -> None:
    assert formats.size(value) == words


@pytest.mark.parametrize(
    ("value", "words"), [(None, "–"), (0, "0 %"), (0.42, "0.4 %"), (9.96, "10 %"), (31.4, "31 %"), (5.0, "5 %")]
)
def test_shares(value: float | None, words: str) -> None:
    assert formats.percent(value) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (43, "43 s"), (720, "12 min"), (3 * 3600, "3 h"), (9 * 86400, "9 d")],
)
def test_durations(seconds: float, words: str) -> None:
    assert formats.duration(timedelta(seconds=seconds)) == words


def test_names_in_natural_order() -> None:
    names = ["kvm10", "kvm2", "Kvm1", "web", "10a", "9a"]
    assert sorted(names, key=formats.natural) == ["9a", "10a", "Kvm1", "kvm2", "kvm10", "web"]

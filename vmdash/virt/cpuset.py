"""libvirt's lists of CPUs and of cells: "0-3,8" and, with some left out, "0-7,^3".

Source: https://libvirt.org/formatdomain.html, "cpuset".
"""

from __future__ import annotations

from collections.abc import Iterable

MOST = 16_384
"""A number beyond this is no CPU; such a list is read as if it did not stand there."""


def parse(text: str) -> list[int]:
    """In order. What is not understood is left out."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().removeprefix("^").partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            continue
        begin, end = int(first), int(last) if dash else int(first)
        if end > MOST:
            continue
        listed = range(begin, end + 1)
        found = found.difference(listed) if part.strip().startswith("^") else found.union(listed)
    return sorted(found)


def text_of(numbers: Iterable[int]) -> str:
    """[0, 1, 2, 8] → "0-2,8"."""
    parts: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if parts and parts[-1][1] == number - 1:
            parts[-1] = (parts[-1][0], number)
        else:
            parts.append((number, number))
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in parts)

"""Numbers, sizes and times in words, for pages. `static/js/format.js` says the same in the browser.

Unknown (None) is a dash, never 0.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

UNKNOWN = "–"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def number(value: int) -> str:
    """12800 → "12,800"."""
    return f"{value:,}"


def size(value: float | None) -> str:
    """Bytes in binary units: 1536 → "1.5 KiB"."""
    if value is None:
        return UNKNOWN
    unit = 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    digits = 0 if unit == 0 or value >= 100 else 1
    return f"{value:.{digits}f}".removesuffix(".0") + f" {_UNITS[unit]}"


def kib(value: float | None) -> str:
    """KiB in binary units: 16777216 → "16 GiB"."""
    return UNKNOWN if value is None else size(value * 1024)


def per_second(value: float | None) -> str:
    """Bytes per second: 1536 → "1.5 KiB/s"."""
    return UNKNOWN if value is None else f"{size(value)}/s"


def percent(value: float | None) -> str:
    """31.4 → "31 %"; below 10 with one digit when it is not whole: "0.4 %"."""
    if value is None:
        return UNKNOWN
    digits = 1 if 0 < value < 9.95 else 0
    return f"{value:.{digits}f}".removesuffix(".0") + " %"


def duration(time: timedelta) -> str:
    """The two leading digits are enough: "43 s", "12 min", "3 h", "9 d"."""
    seconds = max(0, round(time.total_seconds()))
    if seconds < 100:
        return f"{seconds} s"
    if seconds < 100 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 48 * 3600:
        return f"{round(seconds / 3600)} h"
    return f"{round(seconds / 86400)} d"


def brief(milliseconds: float | None) -> str:
    """83 → "83 ms", 1240 → "1.2 s", 95000 → "95 s"."""
    if milliseconds is None:
        return UNKNOWN
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 10_000:
        return f"{milliseconds / 1000:.1f} s"
    return duration(timedelta(milliseconds=milliseconds))


def age(time: timedelta) -> str:
    """How long ago: "now", "43 s ago"."""
    return "now" if time.total_seconds() < 1.5 else f"{duration(time)} ago"


def milliseconds(moment: datetime) -> int:
    """Unix milliseconds, as every live message has them."""
    return round(moment.timestamp() * 1000)


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts names as people do: kvm2 before kvm10."""
    return [(int(part), "") if part.isdecimal() else (0, part.lower()) for part in re.split(r"(\d+)", name)]

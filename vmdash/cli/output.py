"""What is written: a table for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO

Column = tuple[str, Callable[[Any], object]]
"""The heading, and what of a row stands below it."""


def say(text: str, stream: TextIO | None = None) -> None:
    """What others have named things cannot do anything to the terminal."""
    seen = "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in text)
    (stream or sys.stdout).write(f"{seen}\n")


def show_json(content: Any) -> None:
    say(json.dumps(content, indent=2, ensure_ascii=False))


def show_table(rows: Sequence[Any], columns: Sequence[Column]) -> None:
    """Numbers to the right."""
    cells = [[_text(of(row)) for _, of in columns] for row in rows]
    numeric = [bool(rows) and all(isinstance(of(row), int | float | None) for row in rows) for _, of in columns]
    heads = [head for head, _ in columns]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    for line in (heads, *cells):
        fitted = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        )
        say("  ".join(fitted).rstrip())


def _text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.1f}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

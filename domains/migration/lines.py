"""One line of a check list: what was looked at, what was found, what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from django.db.models import TextChoices


class Level(TextChoices):
    PASSED = "passed", "passed"
    WARNED = "warned", "look at this"
    FAILED = "failed", "in the way"


@dataclass(frozen=True, slots=True)
class Line:
    subject: str
    level: Level
    words: str
    remedy: str = ""

    def stored(self) -> dict[str, str]:
        return asdict(self)


def passed(subject: str, words: str) -> Line:
    return Line(subject, Level.PASSED, words)


def warned(subject: str, words: str, remedy: str = "") -> Line:
    return Line(subject, Level.WARNED, words, remedy)


def failed(subject: str, words: str, remedy: str = "") -> Line:
    return Line(subject, Level.FAILED, words, remedy)

"""The lines of the log. One message is one line, whatever names and addresses people wrote are in it."""

from __future__ import annotations

import logging


class OneLine(logging.Formatter):
    """Characters that cannot be seen are written as `\\n`, `\\x1b` …, so that nobody writes a line of their own or
    colours the terminal of who reads it. The lines of a traceback are indented: a line that begins with a time is
    ours."""

    def format(self, record: logging.LogRecord) -> str:
        first, *more = super().format(record).split("\n")
        return "\n".join([first, *(f"    {_seen(line)}" for line in more)])

    def formatMessage(self, record: logging.LogRecord) -> str:
        return _seen(super().formatMessage(record))


def _seen(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)

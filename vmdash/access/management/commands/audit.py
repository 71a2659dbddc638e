"""`manage.py audit verify`: whether the audit trail is whole, and what was changed in it or is missing."""

from __future__ import annotations

import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from vmdash.access.trail import chain, selectors, verifying
from vmdash.exceptions import VmdashError


class Command(BaseCommand):
    help = "Verify the audit trail, or write it to standard output as JSON lines."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="what", required=True)
        verify = actions.add_parser("verify", help="name every entry that was changed or is missing")
        verify.add_argument(
            "--noted", type=_noted, metavar="NUMBER:HASH", help="compare an entry with what was written down elsewhere"
        )
        actions.add_parser("export", help="write all entries, oldest first, one JSON object a line")

    def handle(self, *args: Any, what: str, **options: Any) -> None:
        if what == "export":
            for block in selectors.json_lines(selectors.entries()):
                self.stdout.write(block.decode(), ending="")
            return
        self._verify(options["noted"])

    def _verify(self, noted: tuple[int, str] | None) -> None:
        try:
            chain.seal()
        except VmdashError as error:
            self.stderr.write(str(error))
        report = verifying.verify(noted)
        for finding in report.findings:
            self.stdout.write(finding)
        if report.findings:
            most = len(report.findings) == verifying.MOST_FINDINGS
            raise CommandError(
                f"The audit trail is not as it was written: {'at least ' if most else ''}"
                f"{_count(len(report.findings), 'finding')}, {_count(report.checked, 'entry', 'entries')} checked."
            )
        if not report.checked:
            self.stdout.write("The audit trail is empty.")
            return
        whole = "The audit trail is whole"
        self.stdout.write(
            f"{whole}: entries {report.first} to {report.last}. The last one is {report.last}:{report.hash}"
        )


def _noted(text: str) -> tuple[int, str]:
    if match := re.fullmatch(r"(\d{1,18}):([0-9a-fA-F]{64})", text):
        return int(match[1]), match[2].lower()
    raise ValueError(text)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"

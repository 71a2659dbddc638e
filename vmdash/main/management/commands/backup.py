"""`manage.py backup FILE`: all that vmdash itself knows, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from vmdash.exceptions import VmdashError
from vmdash.main.backup.making import make


class Command(BaseCommand):
    help = (
        "Write the database to FILE, while vmdash goes on. The keys of stored secrets are not in it, nor is the "
        "history (docs/production.md)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--with-keys",
            action="store_true",
            help="put the encryption keys into it: whoever has FILE has every secret",
        )

    def handle(self, *args: Any, file: Path, with_keys: bool, **options: Any) -> None:
        try:
            manifest = make(file, with_keys=with_keys)
        except VmdashError as error:
            raise CommandError("\n".join(filter(None, [str(error), error.detail]))) from error
        self.stdout.write(f"{file}: the database as it was at {manifest.made_at}.")
        if with_keys:
            self.stdout.write("It has the encryption keys in it. Keep it as you keep passwords.")
        elif manifest.keys:
            self.stdout.write(
                f"Its secrets need the key with the fingerprint {' and '.join(manifest.keys)}, which is not in it: "
                "keep VMDASH_ENCRYPTION_KEYS elsewhere."
            )
        self.stdout.write("The history of figures is not in it: see docs/production.md.")

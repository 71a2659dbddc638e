"""`manage.py restore FILE`: what `backup` wrote, back into the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from vmdash.exceptions import VmdashError
from vmdash.main.backup.restoring import restore


class Command(BaseCommand):
    help = "Put what FILE holds in the place of the database. vmdash must not run meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--force", action="store_true", help="although the database holds data, which is lost then")

    def handle(self, *args: Any, file: Path, force: bool, **options: Any) -> None:
        try:
            manifest = restore(file, force=force)
        except VmdashError as error:
            raise CommandError("\n".join(filter(None, [str(error), error.detail]))) from error
        self.stdout.write(
            f"The database is what it was at {manifest.made_at}. Everybody has to sign in anew. "
            "All tokens have ended: scripts need new ones. What waited for webhooks then is not sent. "
            "Run `manage.py audit verify`, then start vmdash."
        )

"""`manage.py hosts import FILE` and `manage.py hosts export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hosts.portation import FaultyFile, export_csv, export_yaml, import_hosts, read_file


class Command(BaseCommand):
    help = "Add, change and list hosts in bulk."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        importing = commands.add_parser(
            "import", help="add the hosts in a YAML or CSV file, and change those of the same name"
        )
        importing.add_argument("file", type=Path)
        importing.add_argument("--dry-run", action="store_true", help="check the file and tell what would be done")
        exporting = commands.add_parser("export", help="write all hosts to standard output, without secrets")
        exporting.add_argument("--format", choices=["yaml", "csv"], default="yaml")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["command"] == "export":
            self.stdout.write(export_csv() if options["format"] == "csv" else export_yaml(), ending="")
        else:
            self._import(options["file"], dry_run=options["dry_run"])

    def _import(self, file: Path, *, dry_run: bool) -> None:
        try:
            imported = import_hosts(user=None, entries=read_file(file), folder=file.parent, dry_run=dry_run)
        except FaultyFile as error:
            for fault in error.faults:
                self.stderr.write(f"{file}, {fault}")
            raise CommandError(f"Nothing was imported: {len(error.faults)} fault(s).") from None
        would = "would be " if dry_run else ""
        for what, names in (("added", imported.added), ("changed", imported.changed)):
            if names:
                self.stdout.write(f"{would}{what}: {', '.join(names)}")
        self.stdout.write(f"{len(imported.unchanged)} unchanged.")

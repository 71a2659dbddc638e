"""`manage.py process NAME`: becomes one process of the Procfile, for systemd and the like."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from vmdash.main.programs import commands, environment, left_out


class Command(BaseCommand):
    help = "Become one process of the Procfile, with the variables that `manage.py run` would set. First: `prepare`."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", choices=sorted(commands()))

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        if name in left_out():
            self.stdout.write(f"The settings name another {name}: none is started here.")
            return
        os.chdir(settings.BASE_DIR)
        os.execvpe("sh", ["sh", "-c", commands()[name]], environment())  # noqa: S606  (a command of ours)

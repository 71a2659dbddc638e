"""`manage.py prepare`: what has to be in place before the processes start."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from vmdash import env
from vmdash.main.prepare import prepare


class Command(BaseCommand):
    help = (
        "Bring the database and the files for browsers up to this version, and write what the processes read. "
        "`manage.py run` does so itself; it is for those who have something else start the processes."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        env.private_directory(settings.DATA_DIR)
        prepare()
        self.stdout.write("Everything is in place.")

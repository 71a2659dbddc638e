"""`manage.py run`: all of vmdash on this machine."""

from __future__ import annotations

import asyncio
import datetime
import sys
from concurrent.futures import Future
from contextlib import nullcontext
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from honcho.colour import get_colours
from honcho.printer import Message, Printer

from vmdash.access.models import User
from vmdash.access.roles import Role
from vmdash.exceptions import VmdashError
from vmdash.lab.layout import Lab
from vmdash.main import demo
from vmdash.main.prepare import data_directory, prepare
from vmdash.main.programs import check_addresses, environment, programs
from vmdash.main.supervisor import Say, Supervisor


class Command(BaseCommand):
    help = "Start all processes of vmdash, keep them running, and stop them at Ctrl-C or SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--demo",
            action="store_true",
            help="with a practice fleet of three libvirt hosts and an account for each role",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with data_directory():
                check_addresses()
                self.stdout.write("Starting. The first time takes a few minutes." if options["demo"] else "Starting.")
                prepare()
                self._run(Lab.from_environment() if options["demo"] else None)
        except VmdashError as error:
            raise CommandError("\n".join(filter(None, [str(error), error.detail]))) from error
        self.stdout.write("Everything has stopped.")

    def _run(self, lab: Lab | None) -> None:
        to_start = programs()
        say = _printer([program.name for program in to_start])
        supervisor = Supervisor(
            to_start, directory=settings.BASE_DIR, environment=environment(as_root=lab is not None), say=say
        )

        with demo.practice_fleet(lab, self.stdout.write) if lab else nullcontext() as coming_up:

            async def greet() -> None:
                self.stdout.write(await asyncio.to_thread(_greeting, lab, coming_up))

            asyncio.run(supervisor.run(greet))


def _printer(names: list[str]) -> Say:
    printer = Printer(sys.stdout, width=max(map(len, names)))
    colours = dict(zip(names, get_colours(), strict=False))

    def say(name: str, line: str) -> None:
        printer.write(Message("line", line, datetime.datetime.now().astimezone(), name, colours[name]))

    return say


def _greeting(lab: Lab | None, coming_up: Future[None] | None) -> str:
    """What to say when everything runs. With a practice fleet, wait for it first."""
    address, port = settings.WEB_LISTEN
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
    ready = f"vmdash is ready: http://{f'[{shown}]' if ':' in shown else shown}:{port}/   (Ctrl-C stops everything)"
    if lab and coming_up:
        coming_up.result()
        return f"\n{ready}\n\n{demo.furnish(lab)}"
    if not User.objects.filter(role=Role.ADMINISTRATOR, is_active=True).exists():
        ready += "\nNobody can sign in yet. In another terminal: manage.py person NAME --role administrator"
    return f"\n{ready}\n"

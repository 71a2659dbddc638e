"""`manage.py lab`: bring the practice fleet up, take it down, look at it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from vmdash.lab import fleet, inventory
from vmdash.lab.commands import LabError
from vmdash.lab.layout import Lab


class Command(BaseCommand):
    help = "The practice fleet: real libvirtds with real guests on this machine's loopback addresses."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("up", help="bring up whatever is not up")
        down = actions.add_parser("down", help="end every process, mount and namespace of the fleet")
        down.add_argument("--delete", action="store_true", help="also delete its disks, definitions and keys")
        actions.add_parser("status", help="ask every host; the exit code says whether anything is missing")
        actions.add_parser("inventory", help="print the hosts and their secrets for: manage.py hosts import")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        lab = Lab.from_environment()
        try:
            match action:
                case "up":
                    fleet.up(lab, self.stdout.write)
                    self._show_status(lab)
                case "down":
                    fleet.down(lab, delete=options["delete"])
                case "status":
                    self._show_status(lab)
                case "inventory":
                    self.stdout.write(inventory.as_yaml(lab))
        except LabError as error:
            raise CommandError("\n".join(filter(None, [str(error), error.detail]))) from error

    def _show_status(self, lab: Lab) -> None:
        hosts = fleet.status(lab)
        for host in hosts:
            self.stdout.write(
                f"{host.name}: {host.running} of {host.defined} guests run" if host.answers else f"{host.name}: down"
            )
            self.stdout.write(f"  virsh -c '{host.uri}' list --all")
        if problems := [problem for host in hosts for problem in host.problems]:
            raise CommandError("\n".join([*problems, "Run: manage.py lab up"]))

"""`manage.py collect`: watch the hosts, write down what they have, tell the browsers."""

from __future__ import annotations

import gc
import sys
from typing import Any

import uvloop
from django.core.management.base import BaseCommand

from domains.inventory import DatabaseInventory
from hosts.collector.process import Collector
from storage.inventory import DatabaseStorage


class Command(BaseCommand):
    help = (
        "Watches the enabled hosts: states, figures, inventory. Several may run and share the hosts. "
        "Ends with status 1 when a supervisor should start it anew."
    )
    requires_system_checks = []  # they would load every page; `run` makes them

    def handle(self, *args: Any, **options: Any) -> None:
        # An event passes through three threads; each would wait for up to 5 ms while another one computes. (With very
        # many hosts that is the lesser evil: see `hosts.collector.crowd`.)
        sys.setswitchinterval(0.0005)
        # A collector holds some thousand objects for each host, makes many new ones each round, and little garbage that
        # refers to itself. To look through what is new takes half a second with 1,000 hosts, while everything waits.
        gc.set_threshold(300_000, 10, 10)
        sys.exit(uvloop.run(_collect()))


async def _collect() -> int:
    return await Collector(DatabaseInventory(), DatabaseStorage()).run()

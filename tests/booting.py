"""Waiting until the practice fleet is calm: guests that boot take all of a small machine's processors."""

from __future__ import annotations

from collections.abc import Iterable

from tests.polling import poll
from vmdash.lab import guests
from vmdash.lab.catalogue import GUESTS, Power
from vmdash.lab.qemu_host import QemuHost


def wait_for_boot(hosts: Iterable[QemuHost]) -> None:
    """Until the agents of all running guests answer, but for those that burn CPU: they boot whenever it is idle."""
    by_name = {host.spec.name: host for host in hosts}
    for guest in GUESTS:
        if guest.power is Power.RUNNING and not guest.burns:
            host = by_name[guest.host]
            poll(lambda: guests.agent_answers(host, guest.name), 180, f"{guest.name} to boot")  # noqa: B023

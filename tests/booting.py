"""Waiting until the practice fleet is calm: guests that boot take all of a small machine's processors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext

from tests.polling import poll
from vmdash.lab import guests
from vmdash.lab.catalogue import GUESTS, Power
from vmdash.lab.qemu_host import QemuHost

_BURNS = {guest.name: guest.burns for guest in GUESTS}


def wait_for_boot(hosts: Iterable[QemuHost]) -> None:
    """Until the agents of all running guests answer."""
    by_name = {host.spec.name: host for host in hosts}
    for guest in GUESTS:
        if guest.power is Power.RUNNING and not guest.burns:
            wait_for_agent(by_name[guest.host], guest.name)
    for guest in GUESTS:
        if guest.burns:
            wait_for_agent(by_name[guest.host], guest.name)


def wait_for_agent(host: QemuHost, name: str) -> None:
    """Until the agent of guest `name` answers: it has booted."""
    with _hurried(host, name) if _BURNS.get(name) else nullcontext():
        poll(lambda: guests.agent_answers(host, name), 180, f"the agent of {name}")


@contextmanager
def _hurried(host: QemuHost, name: str) -> Iterator[None]:
    """Guests that burn CPU have idle priority and would boot whenever nobody else wants it; inside the block they have
    their share."""
    thread = re.search(r"thread_id=(\d+)", host.virsh("qemu-monitor-command", name, "--hmp", "info cpus"))
    if thread is None:
        raise RuntimeError(f"QEMU does not tell the thread of {name}'s CPU.")
    host.run(["chrt", "--other", "--pid", "0", thread[1]])
    try:
        yield
    finally:
        host.run(["chrt", "--idle", "--pid", "0", thread[1]])

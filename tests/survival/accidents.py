"""What can go wrong around vmdash. Each accident is limited to what belongs to the tests."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection

from tests.polling import poll
from vmdash.lab.commands import LabError, run
from vmdash.lab.qemu_host import QemuHost


class DatabaseAway:
    """PostgreSQL: every connection but ours is ended. SQLite: locked for longer than writers wait."""

    def __init__(self) -> None:
        self._free = threading.Event()
        self._locked = threading.Event()

    def strike(self) -> None:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            return
        threading.Thread(target=self._lock, daemon=True).start()
        poll(self._locked.is_set, 30, "the database to be locked")

    def _lock(self) -> None:
        database = sqlite3.connect(settings.DATABASES["default"]["NAME"], timeout=30, isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        self._locked.set()
        # A little longer than writers wait (`OPTIONS["timeout"]`).
        self._free.wait(settings.DATABASES["default"]["OPTIONS"]["timeout"] + 1)
        database.execute("ROLLBACK")
        database.close()
        self._free.set()

    def mend(self) -> None:
        if connection.vendor != "postgresql":
            poll(self._free.is_set, 60, "the database to be free again")


@contextmanager
def cut_off(host: QemuHost) -> Iterator[None]:
    """Inside the block whatever is sent to the host's address is refused; open connections end."""
    rule = ["INPUT", "--destination", host.address, "--protocol", "tcp", "--jump", "REJECT"]
    rule += ["--reject-with", "tcp-reset"]
    run(["iptables", "--wait", "--insert", *rule])
    try:
        yield
    finally:
        run(["iptables", "--wait", "--delete", *rule])


def has_packet_filter() -> bool:
    try:
        run(["iptables", "--wait", "--list", "INPUT", "--numeric"])
    except LabError:
        return False
    return True


@contextmanager
def small_folder(host: QemuHost, path: str, mib: int) -> Iterator[None]:
    """Inside the block the folder is a file system of that size, for this host alone."""
    host.run(["mkdir", "-p", path])
    host.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "small", path])
    try:
        yield
    finally:
        host.run(["umount", "--lazy", path])

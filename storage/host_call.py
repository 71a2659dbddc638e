"""What a host does without an answer until it is through, such as making a volume."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from django.db import connections

from hosts.connect import connected
from hosts.models import Host
from vmdash.jobs.context import OutcomeUnknown
from vmdash.virt.errors import HostError

if TYPE_CHECKING:
    from vmdash.virt.connection import HostConnection


class HostCall:
    """A call that blocks until the host is through, in a thread and on a connection of its own.

    libvirt calls cannot be cancelled, so the job's own thread stays free to report and to be asked.
    """

    def __init__(self, host: Host, call: Callable[[HostConnection], object]) -> None:
        self.error: Exception | None = None
        self.ended = threading.Event()
        self._host = host
        self._call = call
        threading.Thread(target=self._run, name=f"call-{host.name}", daemon=True).start()

    def _run(self) -> None:
        try:
            with connected(self._host) as connection:
                self._call(connection)
        except Exception as error:  # whoever waits for it raises it
            self.error = error
        finally:
            connections.close_all()
            self.ended.set()

    def raise_error(self) -> None:
        """Raises OutcomeUnknown when the connection broke, or what the host said."""
        if isinstance(self.error, HostError):
            raise OutcomeUnknown(self.error.message) from self.error
        if self.error:
            raise self.error

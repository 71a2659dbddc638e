"""How many guests one collector watches, and so how often it does what can wait.

States, figures and events come at the same pace whatever the number. Who takes CPU time from whom, and what is read
again only in case an event was missed, or to be drawn on a page, takes one or several calls for each guest: with many
guests it comes less often. Definitions and snapshots, which take the most and hardly ever change without an event, are
then left out of some of the sweeps besides.
"""

from __future__ import annotations

import os
import random
import socket
import threading
from contextlib import suppress
from pathlib import Path

COMFORTABLE = 10_000
"""Up to so many guests everything comes as often as the settings say; with twice as many, half as often."""


class Crowd:
    """Shared by all hosts of a collector. `note` and `leave` may be called from any thread."""

    def __init__(self) -> None:
        self._guests: dict[int, int] = {}
        self._guard = threading.Lock()
        self._all = 0
        """Their sum, which is asked for all the time."""

    def note(self, host_id: int, guests: int) -> None:
        """How many guests a host has."""
        with self._guard:
            self._all += guests - self._guests.get(host_id, 0)
            self._guests[host_id] = guests

    def leave(self, host_id: int) -> None:
        """The host is not watched for now."""
        with self._guard:
            self._all -= self._guests.pop(host_id, 0)

    def stretch(self) -> float:
        """How many times longer than usual intervals are; at least 1."""
        return max(1.0, self._all / COMFORTABLE)

    def stretch_of_looks(self) -> float:
        """The same of looks at what every CPU of a host does and where every vCPU is: a call for each of these."""
        return 2 * self.stretch() - 1


MANY_HOSTS = 100
MANY_HOSTS_SWITCH_S = 0.005
"""How long a thread may compute while others want to (CPython's own default): with so many of them, to interrupt each
step several times and to go on with cold caches costs more than to wait for its end."""


def stay_on_one_cpu() -> socket.socket | None:
    """Have all threads of this process share a CPU, one that no other collector took; keep what is returned.

    Only one thread at a time can run Python. With hundreds of them, most of the work would be to wake the next one on
    another CPU; on one, they are switched a third as often. None: there is nothing to choose, or all are taken.
    """
    cpus = [*os.sched_getaffinity(0)]
    if len(cpus) < 2:
        return None
    for cpu in random.sample(cpus, len(cpus)):
        taken = socket.socket(socket.AF_UNIX)
        try:
            taken.bind(f"\0vmdash-collector-on-cpu-{cpu}")
        except OSError:
            taken.close()
            continue
        for thread in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):  # it has just ended
                os.sched_setaffinity(int(thread.name), {cpu})
        return taken
    return None

"""How many guests one collector watches, and so how often it does what can wait.

States, figures and events come at the same pace whatever the number. What is read again only in case an event was
missed, or to be drawn on a page, takes one or several calls for each guest: with many guests it comes less often.
"""

from __future__ import annotations

import sys

COMFORTABLE = 10_000
"""Up to so many guests everything comes as often as the settings say; with twice as many, half as often."""


class Crowd:
    """Shared by all hosts of a collector. `note` and `leave` may be called from any thread."""

    def __init__(self) -> None:
        self._guests: dict[int, int] = {}

    def note(self, host_id: int, guests: int) -> None:
        """How many guests a host has."""
        self._guests[host_id] = guests

    def leave(self, host_id: int) -> None:
        """The host is not watched for now."""
        self._guests.pop(host_id, None)

    def stretch(self) -> float:
        """How many times longer than usual intervals are; at least 1."""
        return max(1.0, sum([*self._guests.values()]) / COMFORTABLE)


def set_switch_interval(hosts: int) -> None:
    """How long one thread may compute before another one gets its turn.

    An event passes through three threads, and each would wait for up to Python's usual 5 ms while another one computes.
    But all that wait look so often whether it is their turn; with hundreds of hosts that becomes most of the work.
    """
    sys.setswitchinterval(min(0.005, max(0.0005, hosts * 0.00001)))

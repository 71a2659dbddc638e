"""What a session has to do, as a list in the order of urgency."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hosts.collector.turns import Kind


@dataclass(frozen=True, slots=True)
class Duty:
    """`due` says from when on (monotonic; infinity: there is nothing to do), `step` does the next piece of it."""

    due: Callable[[], float]
    step: Callable[[], Awaitable[None]]
    turns: Kind | None = None
    """It takes turns with those of other hosts; None: it is done at once."""

"""Waiting for something to become true, without sleeping longer than needed."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

INTERVAL_S = 0.02
PATIENCE = float(os.environ.get("VMDASH_TEST_PATIENCE", "1"))
"""Every deadline is this many times longer: for machines whose processors are shared, such as those of CI."""


def poll(until: Callable[[], T], deadline_s: float = 10, what: str = "") -> T:
    """Call `until` until it returns something true, and return that.

    Raises:
        TimeoutError: it did not within `deadline_s`; the text names `what` was waited for.
    """
    end = time.monotonic() + deadline_s * PATIENCE
    while not (answer := until()):
        if time.monotonic() > end:
            raise TimeoutError(f"Waited {deadline_s * PATIENCE:g} s in vain for {what or until}")
        time.sleep(INTERVAL_S)
    return answer


async def poll_async(until: Callable[[], Awaitable[T]], deadline_s: float = 10, what: str = "") -> T:
    """The same for a coroutine function, without blocking the loop."""
    end = time.monotonic() + deadline_s * PATIENCE
    while not (answer := await until()):
        if time.monotonic() > end:
            raise TimeoutError(f"Waited {deadline_s * PATIENCE:g} s in vain for {what or until}")
        await asyncio.sleep(INTERVAL_S)
    return answer

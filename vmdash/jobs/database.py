"""Holding out while the database is away: a job that has moved half a guest must not end for a row it cannot read."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

T = TypeVar("T")

log = logging.getLogger(__name__)

PATIENCE_S = 120
PAUSE_S = 0.5


def insist(call: Callable[[], T], *, patience_s: float = PATIENCE_S) -> T:
    """The result of `call`, tried again on a new connection while the database does not answer.

    Inside a transaction there is nothing to insist on: what came before is gone with the connection.

    Raises:
        OperationalError, InterfaceError: it was away for longer than `patience_s`.
    """
    end = time.monotonic() + patience_s
    while True:
        try:
            return call()
        except (OperationalError, InterfaceError) as error:
            if connection.in_atomic_block or time.monotonic() > end:
                raise
            log.warning("The database does not answer, trying again: %s", str(error).strip())
            connection.close()
            time.sleep(PAUSE_S)

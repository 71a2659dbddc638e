"""Whether this vmdash can serve people: what a load balancer or a watcher asks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache

import redis
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from hosts.collector.leases import living_collectors
from vmdash.live.redis import client

log = logging.getLogger(__name__)


def findings() -> dict[str, str]:
    """What fails, by its name, in words without addresses or secrets; the log has the details. Empty: ready."""
    found: dict[str, str] = {}
    for name, look in _LOOKS.items():
        if look is _migrations and "database" in found:
            continue  # it would only be waited for once more
        if words := _look(name, look):
            found[name] = words
    return found


def _look(name: str, look: Callable[[], str]) -> str:
    try:
        return look()
    except (Error, redis.RedisError) as error:
        log.warning("Not ready, %s: %s", name, error)
        return "does not answer"


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return ""


def _migrations() -> str:
    missing = _known_migrations() - set(MigrationRecorder(connection).applied_migrations())
    return f"{len(missing)} not made yet" if missing else ""


@lru_cache
def _known_migrations() -> frozenset[tuple[str, str]]:
    """Those of the code that runs."""
    return frozenset(MigrationLoader(None).disk_migrations or ())


def _redis() -> str:
    client().ping()
    return ""


def _collector() -> str:
    return "" if living_collectors(client()) else "none has been heard of lately"


_LOOKS = {"database": _database, "migrations": _migrations, "redis": _redis, "collector": _collector}

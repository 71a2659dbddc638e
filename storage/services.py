"""Asking for changes of storage, and for it to be read again."""

from __future__ import annotations

import logging
from uuid import UUID

import redis

from vmdash.live.redis import STORAGE, client, refresh_key

log = logging.getLogger(__name__)

KEEP_REQUEST_S = 60
"""A collector that comes later than this reads everything anyway."""


def pool_changed(host_id: int, pool_uuid: UUID | str = "") -> None:
    """Have the collector read this pool of the host again at once (all its pools when no UUID is given).

    Only what libvirt knows of the pool is read: after changes behind libvirt's back, refresh the pool first. Without
    Redis the next survey will see it.
    """
    key = refresh_key(host_id)
    try:
        with client().pipeline() as pipe:
            pipe.rpush(key, f"{STORAGE}:{pool_uuid}" if pool_uuid else STORAGE)
            pipe.expire(key, KEEP_REQUEST_S)
            pipe.execute()
    except redis.RedisError as error:
        log.warning("The collector is not told to read pool %s again: %s", pool_uuid, error)

"""How often something happened in this hour, over all processes: so that what anybody can cause fills nothing."""

from __future__ import annotations

import time

from redis import RedisError

from vmdash.live.redis import PREFIX, client

_HOUR_S = 3600


def times_in_this_hour(what: str) -> int:
    """How often it did, this time included; 1 when nobody knows."""
    key = f"{PREFIX}:{what}:{int(time.time()) // _HOUR_S}"
    try:
        with client().pipeline() as pipeline:
            pipeline.incr(key)
            pipeline.expire(key, _HOUR_S)
            number, _ = pipeline.execute()
    except RedisError:
        return 1
    return int(number)

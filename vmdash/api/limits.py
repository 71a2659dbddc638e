"""How often a token may be used."""

from __future__ import annotations

import logging
import time

import redis
from django.conf import settings

from vmdash.live.redis import PREFIX, client

log = logging.getLogger(__name__)

WINDOW_S = 60


def seconds_to_wait(token_id: int) -> int:
    """Count one more request; 0 when it may go on, else in how many seconds the next may come.

    Each minute of the clock has a count of its own. While Redis is away nothing is counted.
    """
    now = int(time.time())
    key = f"{PREFIX}:api-requests:{token_id}:{now // WINDOW_S}"
    try:
        with client().pipeline() as pipeline:
            pipeline.incr(key)
            pipeline.expire(key, WINDOW_S)
            count: int = pipeline.execute()[0]
    except redis.RedisError as error:
        log.warning("Requests of tokens are not counted: %s", error)
        return 0
    return 0 if count <= settings.API_REQUESTS_PER_MINUTE else WINDOW_S - now % WINDOW_S

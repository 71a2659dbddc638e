"""Who is at work on what: one key per job in Redis, kept alive by the worker's process.

When the process dies, hangs up on Redis, or a job outlasts its time limit, the key expires and recovery takes over.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import redis

from vmdash.live.redis import PREFIX, client

log = logging.getLogger(__name__)

REFRESH_S = 3
EXPIRE_S = 12

_claims: dict[bytes, tuple[UUID, float]] = {}
"""By the value of its key: what this process is at work on, and until when (monotonic) it is kept alive."""
_lock = threading.Lock()
_refresher: threading.Thread | None = None


@contextmanager
def claimed(job_id: UUID, *, time_limit_s: float) -> Iterator[bool]:
    """Say that this process is at work on the job, for so long. Yields False when somebody is already."""
    token = uuid4().bytes
    if not client().set(_key(job_id), token, nx=True, ex=EXPIRE_S):
        yield False
        return
    with _lock:
        _claims[token] = (job_id, time.monotonic() + time_limit_s)
        _start_refresher()
    try:
        yield True
    finally:
        with _lock:
            del _claims[token]
        if client().get(_key(job_id)) == token:
            client().delete(_key(job_id))


def alive(job_ids: Iterable[UUID]) -> set[UUID]:
    """Those of the jobs that some process is at work on."""
    ids = list(job_ids)
    if not ids:
        return set()
    found = client().mget([_key(job_id) for job_id in ids])
    return {job_id for job_id, value in zip(ids, found, strict=True) if value}


def refresh() -> None:
    """Keep alive what this process is at work on."""
    now = time.monotonic()
    with _lock, client().pipeline(transaction=False) as pipe:
        for token, (job_id, end) in _claims.items():
            if end > now:
                pipe.set(_key(job_id), token, ex=EXPIRE_S)
        pipe.execute()


def _key(job_id: UUID) -> str:
    return f"{PREFIX}:job-alive:{job_id}"


def _start_refresher() -> None:
    global _refresher
    if _refresher is None:
        _refresher = threading.Thread(target=_refresh_for_ever, name="job-liveness", daemon=True)
        _refresher.start()


def _refresh_for_ever() -> None:
    while True:
        time.sleep(REFRESH_S)
        try:
            refresh()
        except redis.RedisError as error:
            log.warning("Running jobs cannot be kept alive in Redis: %s", error)

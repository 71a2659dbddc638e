"""Kinds of job for tests: what they do is set by the test that asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from vmdash.jobs import registry
from vmdash.jobs.context import JobContext
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind
from vmdash.live.redis import client


@contextmanager
def registered(run: Callable[[JobContext], Any] = lambda ctx: None, **fields: Any) -> Iterator[Kind]:
    """A kind `test.kind` that exists inside the `with`."""
    kind = replace(Kind(name="test.kind", run=run), **fields)
    registry.register(kind)
    try:
        yield kind
    finally:
        del registry._kinds[kind.name]


def sent(job: Job) -> int:
    """How many messages call the workers for the job."""
    return sum(str(job.pk).encode() in message for message in client().lrange(registry.queue_of(job.kind), 0, -1))

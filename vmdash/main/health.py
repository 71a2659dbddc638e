"""vmdash's own health in figures, for Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx
import redis
from django.conf import settings
from django.db import Error
from django.db.models import Count, Min

from domains.models import Domain
from hosts.models import Host
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Queue
from vmdash.live import cache
from vmdash.live.redis import client
from vmdash.metrics.lines import WRITE_PATH
from vmdash.metrics.query import labels
from vmdash.metrics.trouble import history_trouble

log = logging.getLogger(__name__)

STORE_TIMEOUT_S = 2


@dataclass(slots=True)
class Metric:
    """One name with its values by their labels, which `labels` has written."""

    name: str
    help: str
    values: dict[str, float] = field(default_factory=dict)

    def text(self) -> str:
        lines = [f"# HELP {self.name} {self.help}", f"# TYPE {self.name} gauge"]
        return "\n".join([*lines, *(f"{self.name}{which} {value:.12g}" for which, value in self.values.items())])


def health() -> str:
    """What of vmdash works, how much there is of everything, and what waits. Answers whatever is away."""
    up = Metric("vmdash_up", "Whether this part of vmdash answers.")
    metrics = [up]
    parts: dict[str, Callable[[], Iterator[Metric]]] = {"database": _database, "redis": _redis, "history": _history}
    if settings.TSDB_WRITE_URL != settings.TSDB_URL:
        parts["history_writes"] = _history_writes
    for part, look in parts.items():
        try:
            metrics += list(look())
            works = True
        except (Error, redis.RedisError, httpx.HTTPError) as error:
            log.warning("For /metrics: %s does not answer: %s", part, error)
            works = False
        up.values[labels(part=part)] = works
    return "\n".join([*(metric.text() for metric in metrics if metric.values), ""])


def _database() -> Iterator[Metric]:
    """Counts of what is in it. Raises Error."""
    hosts = Host.objects.filter(enabled=True).order_by().values_list("state").annotate(number=Count("pk"))
    yield Metric("vmdash_hosts", "Enabled hosts by the state of their connection.", _by(hosts, "state"))
    guests = Domain.objects.present().order_by().values_list("state").annotate(number=Count("pk"))
    yield Metric("vmdash_guests", "Guests by state.", _by(guests, "state"))
    jobs = Job.objects.unfinished().order_by().values_list("state").annotate(number=Count("pk"))
    yield Metric("vmdash_jobs", "Jobs that have not ended, by state.", _by(jobs, "state"))
    oldest = Job.objects.filter(state=Job.State.QUEUED).aggregate(at=Min("created_at"))["at"]
    waits = {"": time.time() - oldest.timestamp() if oldest else 0.0}
    yield Metric("vmdash_job_oldest_waiting_seconds", "How long the oldest job has been waiting for its start.", waits)
    ages = Metric("vmdash_host_figures_age_seconds", "How old the newest figures of each enabled host are.")
    names = dict(Host.objects.filter(enabled=True).values_list("pk", "name"))
    for host_id, tick in cache.ticks(names).items():
        ages.values[labels(host=names[host_id])] = max(0.0, time.time() - tick["at"] / 1000)
    yield ages


def _redis() -> Iterator[Metric]:
    """What waits in it. Raises RedisError."""
    waiting = {labels(queue=queue.value): float(client().llen(queue.value)) for queue in Queue}
    yield Metric("vmdash_queue_length", "Jobs that no worker has taken yet.", waiting)
    held = history_trouble()
    yield Metric("vmdash_history_held_bytes", "History that waits on disk.", {"": held.size if held else 0})
    yield Metric(
        "vmdash_history_lost_bytes", "History lost since its store is away.", {"": held.dropped if held else 0}
    )


def _history() -> Iterator[Metric]:
    """Nothing but whether the store answers. Raises HTTPError."""
    asked = {"query": "vector(1)"}
    httpx.post(f"{settings.TSDB_URL}/api/v1/query", data=asked, timeout=STORE_TIMEOUT_S).raise_for_status()
    yield from ()


def _history_writes() -> Iterator[Metric]:
    """Nothing but whether what is measured is taken: it is sent nothing. Raises HTTPError."""
    url = f"{settings.TSDB_WRITE_URL}{WRITE_PATH}"
    httpx.post(url, content=b"", timeout=STORE_TIMEOUT_S).raise_for_status()
    yield from ()


def _by(counted: object, label: str) -> dict[str, float]:
    return {labels(**{label: value}): number for value, number in counted}  # type: ignore[attr-defined]

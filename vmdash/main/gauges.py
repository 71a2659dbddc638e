"""What the database knows and rules need, as figures in the history store: which hosts answer, how full pools are,
guests that run twice, jobs that failed, certificates that expire.

Written every 15 s by the scheduler, since vmalert reads the store and nothing else. Names: docs/alerts.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import timedelta

from cryptography import x509
from django.utils import timezone

from domains.models import Domain
from hosts.models import Host
from storage.models import Pool
from vmdash.jobs.models import Job
from vmdash.metrics.exposition import line, store

FAILED_FOR = timedelta(minutes=30)
"""So long a failed job is worth an alert."""
MOST_FAILED = 100
Figure = tuple[str, Mapping[str, object], float]
"""Name, labels, value."""


def write() -> int:
    """Returns how many figures were written. Raises Unavailable: the store does not take them."""
    at_ms = int(time.time() * 1000)
    lines = [line(name, labels, value, at_ms) for name, labels, value in _figures()]
    if lines:
        store(lines)
    return len(lines)


def _figures() -> Iterator[Figure]:
    for found in (_hosts(), _pools(), _guests(), jobs(), _certificates()):
        yield from found


def _figure(name: str, value: float, **labels: object) -> Figure:
    return name, labels, value


def _hosts() -> Iterator[Figure]:
    """Those that are enabled and were connected to before: one that is new is somebody's work in progress."""
    for name, state in Host.objects.filter(enabled=True).exclude(state=Host.State.NEW).values_list("name", "state"):
        yield _figure("vmdash_host_up", state == Host.State.UP, host=name)


def _pools() -> Iterator[Figure]:
    found = Pool.objects.filter(state=Pool.State.RUNNING, capacity_bytes__gt=0, host__enabled=True)
    for host, name, capacity, available in found.values_list("host__name", "name", "capacity_bytes", "available_bytes"):
        yield _figure("vmdash_pool_used_ratio", 1 - min(available, capacity) / capacity, host=host, pool=name)


def _guests() -> Iterator[Figure]:
    for uuid, name in Domain.objects.present().filter(split_brain=True).values_list("pk", "name"):
        yield _figure("vmdash_domain_split_brain", 1, domain=name, uuid=uuid)


def jobs() -> Iterator[Figure]:
    """Those that are no part of another one, which would fail along. Without the guest, which may come to be known or
    go meanwhile: other labels are another alert, and a job fails once (`vmdash.alerts.intake` finds the guest)."""
    since = timezone.now() - FAILED_FOR
    failed = Job.objects.filter(state=Job.State.FAILED, finished_at__gt=since, parent=None).order_by("-finished_at")
    for pk, kind, label, host in failed.values_list("pk", "kind", "label", "host_name")[:MOST_FAILED]:
        yield _figure("vmdash_job_failed", 1, job_id=pk, kind=kind, label=label, host=host)


def _certificates() -> Iterator[Figure]:
    """Of hosts, and those that we show them."""
    for host in Host.objects.filter(enabled=True).select_related("credential"):
        credential = host.credential
        for what, pem in (
            (f"The certificate of {host.name}", host.known_certificate),
            (f"Our certificate for {host.name}", credential.certificate if credential else ""),
            (f"The authority that {host.name} is checked by", credential.ca_certificate if credential else ""),
        ):
            if (expires := _expires(pem)) is not None:
                yield _figure("vmdash_certificate_expires_timestamp_seconds", expires, host=host.name, what=what)


def _expires(pem: str) -> float | None:
    """When the first certificate in it does, in Unix seconds; None when there is none that can be read."""
    if not pem:
        return None
    try:
        return x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc.timestamp()
    except ValueError:
        return None

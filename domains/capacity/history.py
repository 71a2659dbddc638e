"""The scheduler's part: records hours of the history, and works out from them what the page shows."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

from django.db.models import Q, Sum
from django.utils import timezone

from domains.capacity import outlooks, uses
from domains.capacity.models import CapacityRecord
from domains.capacity.outlooks import pool_key
from domains.capacity.stores import taken_bytes
from domains.models import ACTIVE_STATES, Domain
from hosts.models import Host
from storage.models import Pool
from vmdash.exceptions import Unavailable
from vmdash.metrics.exposition import line
from vmdash.metrics.hourly import HOUR_S, record_hour, stamp_ms

log = logging.getLogger(__name__)

LATE_S = HOUR_S
"""Counters may come so late, when the store was away; an hour is recorded when none comes any more."""
BACK = timedelta(days=35)
"""How far back it begins, where counters were kept before anything was recorded."""
BUDGET_S = 120
"""So long one run records; the next goes on."""
CLAIM = timedelta(minutes=15)
EVERY = timedelta(hours=3)
"""How often everything is worked out anew."""


def tick(now: datetime) -> None:
    """Work out anew what is old, and record hours that have ended. One at a time, whoever calls it."""
    record, _ = CapacityRecord.objects.get_or_create(pk=1)
    free = Q(busy_until=None) | Q(busy_until__lt=now)
    if not CapacityRecord.objects.filter(free, pk=1).update(busy_until=now + CLAIM):
        return
    record.refresh_from_db()
    try:
        # What is stored can be read a little later: so what was recorded the last time is worked out.
        if _is_due(record, now) and record.recorded_until:
            work_out(record.recorded_until)
            CapacityRecord.objects.filter(pk=1).update(worked_out_at=now)
        _record(record, now)
        CapacityRecord.objects.filter(pk=1).update(trouble="")
    except Unavailable as error:
        log.warning("The capacity is not worked out: %s %s", error, error.detail)
        CapacityRecord.objects.filter(pk=1).update(trouble=str(error)[:300])
    finally:
        CapacityRecord.objects.filter(pk=1).update(busy_until=None)


def work_out(until: datetime) -> None:
    """Everything that the page shows of the past and the future, from the hours up to `until`. Raises Unavailable."""
    uses.work_out(until)
    outlooks.work_out(until)


def _is_due(record: CapacityRecord, now: datetime) -> bool:
    """Whether what is shown is old, and the hours before are recorded."""
    if record.recorded_until is None or record.recorded_until < _newest(now):
        return False
    return record.worked_out_at is None or now - record.worked_out_at >= EVERY


def _newest(now: datetime) -> datetime:
    return _hour(now - timedelta(seconds=LATE_S))


def _record(record: CapacityRecord, now: datetime) -> None:
    """Each hour that has ended and is not recorded yet, the oldest first."""
    newest = _newest(now)
    done = record.recorded_until or _hour(now - BACK)
    deadline = time.monotonic() + BUDGET_S
    while done < newest and time.monotonic() < deadline:
        done += timedelta(seconds=HOUR_S)
        end_s = round(done.timestamp())
        record_hour(end_s, _inventory_lines(stamp_ms(end_s)) if done == newest else ())
        CapacityRecord.objects.filter(pk=1).update(recorded_until=done)


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _inventory_lines(at_ms: int) -> list[str]:
    """What the inventory knows and counters do not tell: memory given to guests, and pools. As of `at_ms`, in Unix
    milliseconds."""
    names = dict(Host.objects.filter(enabled=True, state=Host.State.UP).values_list("pk", "name"))
    active = Domain.objects.present().filter(state__in=ACTIVE_STATES, host__in=names)
    given = dict(active.order_by().values_list("host").annotate(kib=Sum("max_memory_kib")).values_list("host", "kib"))
    lines = [
        line("host:memory_given_bytes:last", {"host": name}, given.get(pk, 0) * 1024, at_ms)
        for pk, name in names.items()
    ]
    fresh = timezone.now() - timedelta(hours=2)
    pools = Pool.objects.filter(host__in=names, seen_at__gt=fresh, capacity_bytes__gt=0).defer("xml")
    lines += [
        line("pool:taken_bytes:last", {"pool": pool_key(names[pool.host_id], pool.name)}, taken_bytes(pool), at_ms)
        for pool in pools
    ]
    return lines

"""Pools and volumes as they were seen, written into the database: only what differs.

Implements `hosts.collector.inventory.StorageInventory`. Jobs write what they have just done through `record_volume` and
`forget_volume`, so that pages are right before the next survey.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import redis
from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils import timezone

from hosts.collector.inventory import Outcome, PoolSeen, PoolsSwept, StorageObservation, StorageSilent
from hosts.models import Host
from storage.models import Pool, PoolEvent, Storage, Volume
from vmdash.live import groups
from vmdash.live.messages import StorageChanged
from vmdash.live.publish import publish_now
from vmdash.virt.pool import PoolFacts
from vmdash.virt.xml.volume import VolumeDefinition
from vmdash.webhooks import events as webhooks
from vmdash.webhooks.models import Event, Kind

log = logging.getLogger(__name__)

Columns = dict[str, Any]
_AT_ONCE = 500
_VOLUME_COLUMNS = (
    *("key", "path", "kind", "format", "capacity_bytes", "allocation_bytes"),
    *("backing_path", "backing_format", "encrypted", "changed_at"),
)


class DatabaseStorage:
    """The `StorageInventory` of this project."""

    def record(self, observations: Sequence[tuple[Host, StorageObservation]]) -> Outcome:
        """Raises `django.db.Error`. Called inside a transaction that holds the rows of the hosts concerned."""
        changed: dict[int, set[str]] = defaultdict(set)
        for host, seen in observations:
            match seen:
                case PoolSeen():
                    changed[host.pk] |= _record_pool(host, seen)
                case PoolsSwept():
                    changed[host.pk] |= _drop_others(host, seen)
                case StorageSilent():
                    changed[host.pk] |= _record_trouble(host, seen)
        return Outcome(messages=[_message(host_id, uuids) for host_id, uuids in changed.items() if uuids])


def record_pool(host: Host, facts: PoolFacts) -> Pool:
    """Write down a pool that a job has just made or changed, and tell the pages."""
    with transaction.atomic():
        news = _record_pool(host, PoolSeen(facts, timezone.now()))
    announce_pools(host.pk, news)
    return Pool.objects.get(host=host, uuid=facts.uuid)


def forget_pool(pool: Pool) -> None:
    """Write down that its host has it no more, and tell the pages."""
    with transaction.atomic():
        _drop(pool.host, Pool.objects.filter(pk=pool.pk), timezone.now())
    announce_pools(pool.host_id, [str(pool.uuid)])


def record_volume(pool: Pool, definition: VolumeDefinition) -> Volume:
    """Write down a volume that a job has just made or changed, and tell the pages."""
    columns = _volume_columns(definition) | {"changed_at": timezone.now()}
    volume, _ = Volume.objects.update_or_create(pool=pool, name=definition.name, defaults=columns)
    announce_pools(pool.host_id, [str(pool.uuid)])
    return volume


def forget_volume(pool: Pool, name: str) -> None:
    """Write down that a volume is gone, and tell the pages."""
    Volume.objects.filter(pool=pool, name=name).delete()
    announce_pools(pool.host_id, [str(pool.uuid)])


def announce_pools(host_id: int, uuids: Iterable[str]) -> None:
    """Tell browsers that these pools of a host, or volumes in them, have changed. Without Redis they are not told."""
    to, message = _message(host_id, set(uuids))
    try:
        publish_now(to, message)
    except redis.RedisError as error:
        log.warning("Browsers are not told of changed pools: %s", error)


def _message(host_id: int, uuids: set[str]) -> tuple[list[str], StorageChanged]:
    return [groups.FLEET, groups.host(host_id)], {"type": "storage", "host": host_id, "pools": sorted(uuids)}


# Pools


def _record_pool(host: Host, seen: PoolSeen) -> set[str]:
    """Returns the pool's UUID if there is something new about it, besides its age."""
    columns = _pool_columns(seen)
    volumes_at = seen.volumes_at or seen.at
    pool = Pool.objects.filter(host=host, uuid=seen.facts.uuid).first()
    if (pool is None or pool.state != columns["state"]) and _is_outdated(host, seen):
        return set()
    if pool is None:
        pool = Pool.objects.create(host=host, uuid=UUID(seen.facts.uuid), seen_at=volumes_at, **columns)
        _note(host, [pool], PoolEvent.Kind.SEEN, seen.at, witnessed=seen.witnessed)
        news = True
    else:
        changes = {name: value for name, value in columns.items() if getattr(pool, name) != value}
        news = bool(changes)
        if pool.storage_id and changes.keys() & {"type", "path", "source"}:
            _leave_storage(pool)  # it is made of something else now
        if seen.volumes is not None or pool.state not in READABLE:
            changes["seen_at"] = volumes_at
        for name, value in changes.items():
            setattr(pool, name, value)
        if "state" in changes and _state_is_news(pool):
            _note(host, [pool], PoolEvent.Kind.STATE, seen.at, witnessed=seen.witnessed)
        if changes:
            pool.save(update_fields=changes)
    if news:
        _link_by_source(pool)
    if seen.volumes is not None:
        news |= _record_volumes(pool, seen.volumes, volumes_at)
    return {seen.facts.uuid} if news else set()


def _is_outdated(host: Host, seen: PoolSeen) -> bool:
    """Whether a job, or a later reading, has noted since that the pool changed its state, or went.

    What was noted in times to come was so by a machine whose clock is wrong, and outdates nothing.
    """
    noted = PoolEvent.objects.filter(host=host, uuid=seen.facts.uuid, at__gt=seen.at, at__lte=timezone.now())
    return noted.exists()


def _state_is_news(pool: Pool) -> bool:
    """Write it; of a job and the collector that see the same change at the same time, one is told yes."""
    return Pool.objects.filter(pk=pool.pk).exclude(state=pool.state).update(state=pool.state) > 0


def _note(host: Host, pools: Iterable[Pool], kind: PoolEvent.Kind, at: datetime, *, witnessed: bool) -> None:
    """For the time axis, and for webhooks. The pools are of that host."""
    events = PoolEvent.objects.bulk_create(
        PoolEvent(
            host=host,
            uuid=pool.uuid,
            name=pool.name,
            at=at,
            kind=kind,
            state=pool.state,
            witnessed=witnessed,
        )
        for pool in pools
    )
    if kind in _WEBHOOK_KINDS:
        webhooks.tell(lambda: map(_for_webhooks, events), [_WEBHOOK_KINDS[kind]])


_WEBHOOK_KINDS = {PoolEvent.Kind.STATE: Kind.POOL_STATE, PoolEvent.Kind.GONE: Kind.POOL_GONE}


def _for_webhooks(event: PoolEvent) -> Event:
    data = {
        "uuid": str(event.uuid),
        "name": event.name,
        "host": event.host.name,
        "state": event.state,
        "state_in_words": Pool.State(event.state).label,
        "witnessed": event.witnessed,
    }
    return Event(kind=_WEBHOOK_KINDS[PoolEvent.Kind(event.kind)], at=event.at, host=event.host.name, data=data)


READABLE = (Pool.State.RUNNING, Pool.State.DEGRADED)
"""Pools in these states tell of their volumes."""


def _pool_columns(seen: PoolSeen) -> Columns:
    facts = seen.facts
    columns = {
        "name": facts.name,
        "type": facts.type,
        "state": str(facts.state),
        "persistent": facts.persistent,
        "autostart": facts.autostart,
        "capacity_bytes": facts.capacity_bytes,
        "allocation_bytes": facts.allocation_bytes,
        "available_bytes": facts.available_bytes,
        "path": facts.target_path,
        "source": facts.source,
        "xml": facts.xml,
    }
    if seen.volumes is not None or seen.trouble or str(facts.state) not in READABLE:
        columns["trouble"] = seen.trouble[:500]
    return columns


def _record_trouble(host: Host, seen: StorageSilent) -> set[str]:
    pools = Pool.objects.filter(host=host)
    if seen.uuid:
        pools = pools.filter(uuid=seen.uuid)
    troubled = {str(uuid) for uuid in pools.exclude(trouble=seen.words).values_list("uuid", flat=True)}
    pools.update(trouble=seen.words[:500])
    return troubled


def _drop_others(host: Host, seen: PoolsSwept) -> set[str]:
    """Forget the pools that the host has no more, with their volumes. Those that jobs made meanwhile stay."""
    others = Pool.objects.filter(host=host, seen_at__lte=seen.at).exclude(uuid__in=[UUID(one) for one in seen.uuids])
    return {str(pool.uuid) for pool in _drop(host, others, seen.at, witnessed=seen.witnessed)}


def _drop(host: Host, pools: QuerySet[Pool], at: datetime, *, witnessed: bool = True) -> list[Pool]:
    """Within a transaction: of two who see the same pool gone, one finds it here."""
    gone = list(pools.order_by("pk").select_for_update())
    if gone:
        _note(host, gone, PoolEvent.Kind.GONE, at, witnessed=witnessed)
        Pool.objects.filter(pk__in=[pool.pk for pool in gone]).delete()
        drop_lonely_storages(pool.storage_id for pool in gone if pool.storage_id)
    return gone


# Which pools are one storage


def _link_by_source(pool: Pool) -> None:
    """Join the pools of other hosts that have the same network source. What was tried out outweighs it."""
    if not pool.source or pool.storage_id:
        return
    same = Pool.objects.filter(source=pool.source)
    if same.exclude(host=pool.host_id).exists():
        storage, _ = Storage.objects.get_or_create(name=pool.source[:255], evidence=Storage.Evidence.SOURCE)
        same.filter(storage=None).update(storage=storage)


def _leave_storage(pool: Pool) -> None:
    left, pool.storage = pool.storage_id, None
    Pool.objects.filter(pk=pool.pk).update(storage=None)
    drop_lonely_storages([left] if left else [])


def drop_lonely_storages(ids: Iterable[int]) -> None:
    """Forget those that fewer than two pools show."""
    candidates = Storage.objects.filter(pk__in=set(ids)).annotate(shown_by=Count("pools"))
    Storage.objects.filter(pk__in=[one.pk for one in candidates if one.shown_by < 2]).delete()


# Volumes


def _volume_columns(definition: VolumeDefinition) -> Columns:
    return {
        "key": definition.key[:1000],
        "path": definition.path[:1000],
        "kind": definition.kind[:10],
        "format": definition.format[:20],
        "capacity_bytes": definition.capacity_bytes,
        "allocation_bytes": definition.allocation_bytes,
        "backing_path": definition.backing_path[:1000],
        "backing_format": definition.backing_format[:20],
        "encrypted": definition.encrypted,
    }


def _record_volumes(pool: Pool, seen: Sequence[VolumeDefinition], at: datetime) -> bool:
    """Make the rows what was seen; rows that a job wrote after `at` stay. Returns whether anything was different."""
    known = {volume.name: volume for volume in pool.volumes.all()}
    fresh, changed = [], []
    for definition in {one.name: one for one in seen}.values():
        volume = known.pop(definition.name, None)
        columns = _volume_columns(definition)
        if volume is None:
            fresh.append(Volume(pool=pool, name=definition.name[:255], changed_at=at, **columns))
        elif volume.changed_at <= at and any(getattr(volume, name) != value for name, value in columns.items()):
            for name, value in (columns | {"changed_at": at}).items():
                setattr(volume, name, value)
            changed.append(volume)
    gone = [volume.pk for volume in known.values() if volume.changed_at <= at]
    Volume.objects.bulk_create(fresh, batch_size=_AT_ONCE, ignore_conflicts=True)  # a job was quicker: it knows better
    Volume.objects.bulk_update(changed, _VOLUME_COLUMNS, batch_size=_AT_ONCE)
    for start in range(0, len(gone), _AT_ONCE):
        Volume.objects.filter(pk__in=gone[start : start + _AT_ONCE]).delete()
    return bool(fresh or changed or gone)

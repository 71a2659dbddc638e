"""What the survey saw, written down: only what differs, and never against what a job knows better."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from hosts.collector.inventory import Outcome, PoolSeen, PoolsSwept, StorageObservation, StorageSilent
from hosts.models import Host
from storage.inventory import DatabaseStorage, forget_pool, forget_volume, record_pool, record_volume
from storage.models import Pool, PoolEvent, Storage, Volume
from tests.factories import HostFactory, PoolFactory, VolumeFactory
from vmdash.virt.pool import PoolFacts, PoolState
from vmdash.virt.xml.volume import VolumeDefinition

pytestmark = pytest.mark.django_db

GIB = 1024**3
FACTS = PoolFacts(
    uuid=str(uuid4()),
    name="default",
    type="dir",
    state=PoolState.RUNNING,
    persistent=True,
    autostart=True,
    capacity_bytes=100 * GIB,
    allocation_bytes=30 * GIB,
    available_bytes=70 * GIB,
    target_path="/images",
)
WEB1 = VolumeDefinition(
    "web1.qcow2",
    "/images/web1.qcow2",
    "/images/web1.qcow2",
    "file",
    "qcow2",
    10 * GIB,
    GIB,
    "/images/base.qcow2",
    "qcow2",
    False,
)
WEB2 = replace(WEB1, name="web2.qcow2", key="/images/web2.qcow2", path="/images/web2.qcow2")


def seen(facts: PoolFacts = FACTS, *volumes: VolumeDefinition, ago_s: float = 0) -> PoolSeen:
    return PoolSeen(facts, timezone.now() - timedelta(seconds=ago_s), volumes)


def record(host: Host, *observations: StorageObservation) -> Outcome:
    return DatabaseStorage().record([(host, one) for one in observations])


def test_pools_and_volumes_are_written_and_pages_are_told() -> None:
    host = HostFactory.create(name="kvm1")

    outcome = record(host, seen(FACTS, WEB1, WEB2))

    pool = Pool.objects.get()
    assert (pool.name, pool.path, pool.autostart, pool.available_bytes) == ("default", "/images", True, 70 * GIB)
    assert [volume.name for volume in pool.volumes.all()] == ["web1.qcow2", "web2.qcow2"]
    assert pool.volumes.get(name="web1.qcow2").backing_path == "/images/base.qcow2"
    [(to, message)] = outcome.messages
    assert to == ["fleet", f"host.{host.pk}"]
    assert message == {"type": "storage", "host": host.pk, "pools": [FACTS.uuid]}


def test_only_the_age_is_written_when_nothing_changed() -> None:
    host = HostFactory.create()
    record(host, seen(FACTS, WEB1, ago_s=60))
    before = Volume.objects.get().changed_at

    outcome = record(host, seen(FACTS, WEB1))

    assert outcome.messages == []
    assert Volume.objects.get().changed_at == before
    assert Pool.objects.get().seen_at > before


def test_what_changed_and_what_is_gone_is_written() -> None:
    host = HostFactory.create()
    record(host, seen(FACTS, WEB1, WEB2, ago_s=60))

    outcome = record(host, seen(FACTS, replace(WEB1, allocation_bytes=2 * GIB)))

    volume = Volume.objects.get()
    assert (volume.name, volume.allocation_bytes) == ("web1.qcow2", 2 * GIB)
    assert outcome.messages


def test_a_pool_that_the_host_has_no_more_goes_with_its_volumes() -> None:
    host = HostFactory.create()
    record(host, seen(FACTS, WEB1))
    other = PoolFactory.create()

    record(host, PoolsSwept(frozenset(), timezone.now()))

    assert list(Pool.objects.all()) == [other]
    assert not Volume.objects.exists()


def test_facts_alone_leave_volumes_and_their_age_as_they_are() -> None:
    host = HostFactory.create()
    record(host, seen(FACTS, WEB1, ago_s=60))
    age = Pool.objects.get().seen_at

    record(host, PoolSeen(replace(FACTS, available_bytes=GIB), timezone.now()))

    pool = Pool.objects.get()
    assert (pool.available_bytes, pool.seen_at, pool.volumes.count()) == (GIB, age, 1)


def test_a_survey_that_began_earlier_does_not_undo_what_a_job_wrote() -> None:
    pool = PoolFactory.create(uuid=UUID(FACTS.uuid), name="default")
    VolumeFactory.create(pool=pool, name="old.qcow2", changed_at=timezone.now() - timedelta(hours=1))
    record_volume(pool, WEB1)

    record(pool.host, seen(FACTS, ago_s=5))

    assert [volume.name for volume in Volume.objects.all()] == ["web1.qcow2"]
    forget_volume(pool, "web1.qcow2")
    assert not Volume.objects.exists()


def test_a_pool_that_does_not_answer_keeps_its_volumes_and_says_so_until_it_does() -> None:
    host = HostFactory.create()
    record(host, seen(FACTS, WEB1))

    record(host, StorageSilent("kvm1 has not answered for 60 s.", FACTS.uuid))
    assert Pool.objects.get().trouble == "kvm1 has not answered for 60 s."
    assert Volume.objects.count() == 1

    record(host, seen(FACTS, WEB1))
    assert Pool.objects.get().trouble == ""


def events() -> list[tuple[str, str, bool]]:
    return [(event.kind, event.state, event.witnessed) for event in PoolEvent.objects.all()]


def test_each_change_of_state_is_noted_once_with_when_a_pool_comes_and_goes() -> None:
    host = HostFactory.create()
    off = replace(FACTS, state=PoolState.INACTIVE, capacity_bytes=0)
    began = timezone.now() - timedelta(hours=1)

    for minutes, facts, witnessed in (
        (0, FACTS, False),
        (1, FACTS, True),
        (2, replace(FACTS, available_bytes=GIB), True),
        (3, off, True),
        (4, off, True),
        (9, FACTS, False),
    ):
        record(host, PoolSeen(facts, began + timedelta(minutes=minutes), witnessed=witnessed))
    record(host, PoolsSwept(frozenset([FACTS.uuid]), began + timedelta(minutes=10)))
    record(host, PoolsSwept(frozenset(), began + timedelta(minutes=11)))
    record(host, PoolsSwept(frozenset(), began + timedelta(minutes=12)))

    assert events() == [
        ("seen", "running", False),
        ("state", "inactive", True),
        ("state", "running", False),
        ("gone", "running", True),
    ]
    assert [(event.at - began).seconds / 60 for event in PoolEvent.objects.all()] == [0, 3, 9, 11]
    assert {(event.host, str(event.uuid), event.name) for event in PoolEvent.objects.all()} == {
        (host, FACTS.uuid, "default")
    }


def test_what_a_job_and_the_survey_both_see_is_noted_once() -> None:
    host = HostFactory.create()
    off = replace(FACTS, state=PoolState.INACTIVE)
    pool = record_pool(host, FACTS)

    record(host, seen())
    record_pool(host, off)
    record(host, PoolSeen(off, timezone.now()))
    forget_pool(pool)
    record(host, PoolsSwept(frozenset(), timezone.now()))
    forget_pool(pool)

    assert events() == [("seen", "running", True), ("state", "inactive", True), ("gone", "inactive", True)]


def test_a_state_that_another_has_just_written_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job and the survey have read the row before either of them wrote."""
    from storage import inventory

    host = HostFactory.create()
    record(host, seen())
    off = replace(FACTS, state=PoolState.INACTIVE)
    is_news = inventory._state_is_news

    def slowly(pool: Pool) -> bool:
        monkeypatch.setattr(inventory, "_state_is_news", is_news)
        record_pool(host, off)
        return is_news(pool)

    monkeypatch.setattr(inventory, "_state_is_news", slowly)
    record(host, PoolSeen(off, timezone.now()))

    assert events() == [("seen", "running", True), ("state", "inactive", True)]


OFF = replace(FACTS, state=PoolState.INACTIVE, capacity_bytes=0)


@pytest.mark.parametrize(
    ("before", "after", "trouble"), [(FACTS, OFF, "Its volumes cannot be listed."), (OFF, FACTS, "")]
)
def test_a_state_that_was_read_before_a_job_changed_it_is_not_written(
    before: PoolFacts, after: PoolFacts, trouble: str
) -> None:
    host = HostFactory.create()
    record(host, PoolSeen(before, timezone.now()))
    began = timezone.now()
    record_pool(host, after)

    outcome = record(host, PoolSeen(before, began, trouble=trouble))

    pool = Pool.objects.get()
    assert (pool.state, pool.capacity_bytes, pool.trouble) == (after.state, after.capacity_bytes, "")
    assert [state for _, state, _ in events()] == [before.state, after.state]
    assert outcome.messages == []
    record(host, PoolSeen(before, timezone.now()))
    assert Pool.objects.get().state == before.state, "what is read later is"


def test_a_pool_that_was_read_before_a_job_forgot_it_does_not_come_back() -> None:
    host = HostFactory.create()
    pool = record_pool(host, FACTS)
    began = timezone.now()
    forget_pool(pool)

    record(host, PoolSeen(FACTS, began), PoolsSwept(frozenset(), timezone.now()))

    assert not Pool.objects.exists()
    assert [kind for kind, _, _ in events()] == ["seen", "gone"]
    record(host, PoolSeen(FACTS, timezone.now()))
    assert Pool.objects.exists(), "what is read later does"


def test_a_pool_that_a_job_made_while_all_were_listed_stays() -> None:
    host = HostFactory.create()
    began = timezone.now()
    record_pool(host, FACTS)

    record(host, PoolsSwept(frozenset(), began))

    assert Pool.objects.exists()
    assert [kind for kind, _, _ in events()] == ["seen"]
    record(host, PoolsSwept(frozenset(), timezone.now()))
    assert not Pool.objects.exists(), "unless it is not there later either"


def test_what_a_machine_with_a_fast_clock_noted_does_not_hide_what_is_so_now() -> None:
    host = HostFactory.create()
    record(host, PoolSeen(FACTS, timezone.now() + timedelta(hours=1)))

    record(host, PoolSeen(OFF, timezone.now()))

    assert Pool.objects.get().state == "inactive"


def test_state_and_volumes_are_each_as_old_as_their_reading() -> None:
    """Reading the volumes took an hour; a job started the pool and made a volume then, and somebody stopped it."""
    host = HostFactory.create()
    began = timezone.now() - timedelta(hours=1)
    record(host, PoolSeen(OFF, began))
    pool = record_pool(host, FACTS)
    record_volume(pool, WEB1)

    record(host, PoolSeen(OFF, timezone.now(), (WEB2,), began))

    assert Pool.objects.get().state == "inactive"
    assert {volume.name for volume in Volume.objects.all()} == {"web1.qcow2", "web2.qcow2"}


def test_pools_that_went_while_nobody_watched_are_said_to_have_gone_by_then() -> None:
    host = HostFactory.create()
    record(host, seen())

    record(host, PoolsSwept(frozenset(), timezone.now(), witnessed=False))

    assert events()[-1] == ("gone", "running", False)


def test_pools_of_several_hosts_with_the_same_network_source_are_one_storage() -> None:
    first, second, third = HostFactory.create_batch(3)
    nfs = replace(FACTS, type="netfs", source="nfs1:/export/vms")

    record(first, seen(nfs))
    assert not Storage.objects.exists()
    record(second, seen(nfs))
    record(third, seen(replace(nfs, source="nfs1:/export/other")))

    storage = Storage.objects.get()
    assert (storage.name, storage.evidence) == ("nfs1:/export/vms", "source")
    assert {pool.host for pool in storage.pools.all()} == {first, second}

    record(second, seen(replace(nfs, source="nfs2:/export/vms")))
    assert not Storage.objects.exists()

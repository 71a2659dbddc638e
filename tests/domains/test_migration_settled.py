"""After a migration: of one that was broken off nothing stays at the target, of one that arrived at the source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from domains.migration import settle
from domains.migration.move import Move
from domains.migration.plan import DiskPlan, How
from storage import undoing
from tests.factories import DomainFactory, HostFactory, JobFactory
from tests.libvirtd import TestDriverHost
from vmdash.jobs.context import JobContext
from vmdash.virt import migration
from vmdash.virt.connection import HostConnection
from vmdash.virt.errors import GuestNotFound
from vmdash.virt.guest import Guest
from vmdash.virt.migration_types import MigrationOptions
from vmdash.virt.states import GuestState, GuestStatus
from vmdash.virt.xml.volume import VolumeSpec

pytestmark = pytest.mark.django_db(transaction=True)

_GUEST = """<domain type='test'><name>web1</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory>
<os><type>hvm</type></os></domain>"""
UUID = "0c5b0bd8-3f02-4a8c-9f5a-2d8f4b8b1c11"
POOL, DISK = "default-pool", "web1-vda.qcow2"


@pytest.fixture
def source(libvirtd: TestDriverHost) -> Iterator[TestDriverHost]:
    """It runs the guest."""
    guest = libvirtd.connection.define(_GUEST.format(uuid=UUID))
    guest.start()
    yield libvirtd
    with suppress(GuestNotFound):
        guest.destroy()
        guest.undefine()


@pytest.fixture
def target() -> Iterator[TestDriverHost]:
    other = TestDriverHost()
    yield other
    other.stop()


def broken_off(source: TestDriverHost, target: TestDriverHost, *, was_defined_there: bool) -> JobContext:
    """The move of a guest that runs at its source, with its disk half-made at its target."""
    rows = [
        HostFactory.create(name=name, driver="test", address="127.0.0.1", port=one.port, path="/default")
        for name, one in (("kvm1", source), ("kvm2", target))
    ]
    guest = DomainFactory.create(uuid=UUID, name="web1", host=rows[0])
    disk = DiskPlan("vda", How.COPIED, "/images/web1.qcow2", pool=POOL, volume=DISK, capacity_bytes=1 << 20)
    job = JobFactory.create(
        kind="domain.migrate",
        state="running",
        target_id=str(guest.pk),
        parameters={
            "source": rows[0].pk,
            "target": rows[1].pk,
            "options": MigrationOptions(live=True, undefine_source=True).stored(),
            "remove_copied": False,
            "disks": [disk.stored()],
            "was_defined_there": was_defined_there,
        },
    )
    ctx = JobContext(job, time_limit_s=60)
    target.connection.pool(POOL).create_volume(VolumeSpec(DISK, 1 << 20, format="raw"))
    undoing.mark(ctx, "begun", rows[1], POOL, DISK)
    return ctx


@pytest.mark.parametrize("was_defined_there", [False, True])
def test_what_arrived_may_go_away_by_itself_and_its_disk_goes_too(
    source: TestDriverHost, target: TestDriverHost, monkeypatch: pytest.MonkeyPatch, was_defined_there: bool
) -> None:
    """A definition that the target had before stays."""
    ctx = broken_off(source, target, was_defined_there=was_defined_there)
    arriving = target.connection.define(_GUEST.format(uuid=UUID))
    arriving.start()
    arriving.suspend()
    looked: list[settle.Side] = []
    real = settle.look

    def look(connection: HostConnection, uuid: str) -> settle.Side:
        side = real(connection, uuid)
        if connection.pool(POOL).volumes() and not looked:
            looked.append(side)
            side = replace(side, status=GuestStatus(GuestState.PAUSED, "migration"))
            arriving.destroy()
            if not was_defined_there:
                arriving.undefine()
        return side

    monkeypatch.setattr(migration, "progress", lambda guest: None)  # the test driver knows no jobs
    monkeypatch.setattr(settle, "look", look)
    settled = settle.settle(ctx, Move.of(ctx.job), source.connection, target.connection)
    assert looked
    assert not settled.arrived
    assert settled.words == "web1 runs on kvm1 as before."
    assert target.connection.pool(POOL).volumes() == []
    assert (UUID in [guest.uuid for guest in target.connection.guests()]) == was_defined_there


def test_what_arrived_may_be_taken_from_its_source_by_libvirt_itself(
    source: TestDriverHost, target: TestDriverHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = broken_off(source, target, was_defined_there=False)
    target.connection.define(_GUEST.format(uuid=UUID)).start()
    left = source.connection.guest(UUID)
    left.destroy()
    real = settle.look

    def look(connection: HostConnection, uuid: str) -> settle.Side:
        side = real(connection, uuid)
        if connection is target.connection:  # the source said before that it is still defined there
            left.undefine()
        return side

    monkeypatch.setattr(migration, "progress", lambda guest: None)  # the test driver knows no jobs
    monkeypatch.setattr(migration, "completed", lambda guest: None)
    undefine = Guest.undefine
    monkeypatch.setattr(Guest, "undefine", lambda guest, **_: undefine(guest))  # nor firmware's variables
    monkeypatch.setattr(settle, "look", look)
    settled = settle.settle(ctx, Move.of(ctx.job), source.connection, target.connection)
    assert settled.arrived
    assert settled.words == "web1 runs on kvm2."
    assert UUID not in [guest.uuid for guest in source.connection.guests()]

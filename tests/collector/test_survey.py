"""The survey of a host's storage: pools and volumes are soon as they are there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from unittest.mock import Mock

import pytest
from django.utils import timezone
from pytest_django import Settings

from hosts.collector import survey as survey_module
from hosts.collector.crowd import Crowd
from hosts.collector.inventory import PoolSeen, PoolsSwept, StorageSilent
from hosts.collector.survey import PoolHistory, Survey
from hosts.collector.writer import Lease, Write
from hosts.models import Host
from storage.models import Pool, PoolEvent, Volume
from storage.services import pool_changed
from tests.collector.process import CollectorProcess
from tests.collector.waiting import AddHost
from tests.libvirtd import TestDriverHost
from tests.polling import poll, poll_async
from vmdash.virt import eventloop
from vmdash.virt.connection import HostConnection
from vmdash.virt.errors import CallError, ConnectionLost
from vmdash.virt.pool import Pool as LivePool
from vmdash.virt.pool import PoolFacts
from vmdash.virt.xml.pool import PoolSpec
from vmdash.virt.xml.volume import VolumeDefinition, VolumeSpec

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def watched(collector: CollectorProcess, add_host: AddHost, libvirtd: TestDriverHost) -> Host:
    """A host with the test driver's pool "default-pool", surveyed once."""
    host = add_host(libvirtd, name="kvm1")
    poll(lambda: Pool.objects.filter(name="default-pool").exists(), 15, "the first survey")
    return host


@pytest.fixture
def live_pool(libvirtd: TestDriverHost) -> Iterator[LivePool]:
    """A second pool on the host, defined and stopped."""
    pool = libvirtd.connection.define_pool(PoolSpec("images", "dir", path="/images").to_xml())
    yield pool
    if pool.facts().state != "inactive":
        pool.stop()
    pool.undefine()


def wait_for_pool(name: str, **columns: object) -> Pool:
    found = poll(lambda: Pool.objects.filter(name=name, **columns).first(), 10, f"{name} with {columns}")
    assert found
    return found


def test_pools_are_found_with_their_facts(watched: Host) -> None:
    pool = wait_for_pool("default-pool")

    assert (pool.host, pool.type, pool.state, pool.path) == (watched, "dir", "running", "/default-pool")
    assert pool.capacity_bytes >= pool.available_bytes > 0
    assert "<pool" in pool.xml
    poll(lambda: Host.objects.get().pools, what="the pools on the host's page")


def test_pools_that_are_defined_started_stopped_and_undefined_are_followed(
    watched: Host, libvirtd: TestDriverHost
) -> None:
    live = libvirtd.connection.define_pool(PoolSpec("images", "dir", path="/images").to_xml())
    wait_for_pool("images", state="inactive")
    live.start()
    wait_for_pool("images", state="running")
    live.stop()
    wait_for_pool("images", state="inactive")
    live.undefine()

    poll(lambda: not Pool.objects.filter(name="images").exists(), what="the pool to be gone")
    noted = PoolEvent.objects.filter(host=watched, name="images").values_list("kind", "state", "witnessed")
    assert list(noted) == [
        ("seen", "inactive", False),
        ("state", "running", True),
        ("state", "inactive", True),
        ("gone", "inactive", True),
    ]


def test_a_volume_is_seen_when_a_job_asks_for_its_pool_to_be_read(watched: Host, live_pool: LivePool) -> None:
    live_pool.start()
    pool = wait_for_pool("images", state="running")
    volume = live_pool.create_volume(VolumeSpec("web1.qcow2", 1024**3, backing_path="/images/base.qcow2"))

    pool_changed(watched.pk, pool.uuid)

    row = poll(lambda: Volume.objects.filter(pool=pool).first(), 10, "the volume")
    assert row
    assert (row.name, row.path, row.capacity_bytes) == ("web1.qcow2", "/images/web1.qcow2", 1024**3)
    assert row.backing_path == "/images/base.qcow2"
    volume.delete()
    pool_changed(watched.pk)
    poll(lambda: not Volume.objects.filter(pool=pool).exists(), 10, "the volume to be gone")


async def until(condition: Callable[[], bool]) -> None:
    async def asked() -> bool:
        return condition()

    await poll_async(asked)


class Notes:
    """A writer that keeps what it gets."""

    def __init__(self) -> None:
        self.submitted: list[Write] = []

    def submit(self, lease: Lease, *writes: Write) -> None:
        self.submitted.extend(writes)

    def is_behind(self) -> bool:
        return False


@asynccontextmanager
async def surveyed(libvirtd: TestDriverHost, notes: Notes, history: PoolHistory) -> AsyncIterator[Survey]:
    """A survey in this process, without a database."""
    host = Host(pk=1, name="kvm1", driver="test", transport="tcp", address="127.0.0.1", port=libvirtd.port)
    host.path = "/default"
    eventloop.start_thread()
    survey = Survey(host, Lease(1, 1), notes, history, Crowd())  # type: ignore[arg-type]
    survey.host_is_up(True)
    task = asyncio.create_task(survey.run())
    try:
        yield survey
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_what_is_promised_is_told_from_when_volumes_were_read_until_they_cannot_be(
    libvirtd: TestDriverHost, live_pool: LivePool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int | None] = []
    refused = threading.Event()
    read = survey_module._volumes

    class History:
        def pool(self, host: str, at_ms: int, pool: PoolFacts, promised_bytes: int | None) -> None:
            if pool.name == "images":
                told.append(promised_bytes)

    def volumes(pool: LivePool) -> Iterator[VolumeDefinition]:
        if refused.is_set():
            raise CallError.because("list the volumes", "kvm1")
        return read(pool)

    monkeypatch.setattr(survey_module, "_volumes", volumes)
    settings.SWEEP_INTERVAL_S = 0.1
    live_pool.start()
    made = [live_pool.create_volume(VolumeSpec(name, 1024**3)) for name in ("a", "b")]
    async with surveyed(libvirtd, Notes(), History()) as survey:
        await until(lambda: told[-3:] == [2 * 1024**3] * 3)
        assert told[0] is None
        assert set(told) == {None, 2 * 1024**3}
        made.pop().delete()
        survey.request(live_pool.uuid)
        await until(lambda: told[-1] == 1024**3)
        refused.set()
        survey.request(live_pool.uuid)
        await until(lambda: told[-2:] == [None, None])
        refused.clear()
        survey.request(live_pool.uuid)
        await until(lambda: told[-1] == 1024**3)
        live_pool.stop()
        await until(lambda: told[-1] is None)


def of(notes: Notes, pool: LivePool) -> list[PoolSeen]:
    return [one for one in notes.submitted if isinstance(one, PoolSeen) and one.facts.uuid == pool.uuid]


def sweeps(notes: Notes) -> list[PoolsSwept]:
    return [one for one in notes.submitted if isinstance(one, PoolsSwept)]


async def test_asking_for_all_pools_to_be_read_hands_over_all_and_takes_nothing_from_what_is_known(
    libvirtd: TestDriverHost, live_pool: LivePool, settings: Settings
) -> None:
    """As after each pool that is defined: the others have been watched all the time, and what they promised stays."""
    notes, told = Notes(), []

    class History:
        def pool(self, host: str, at_ms: int, pool: PoolFacts, promised_bytes: int | None) -> None:
            if pool.name == "images":
                told.append(promised_bytes)

    settings.SWEEP_INTERVAL_S = 0.1
    live_pool.start()
    async with surveyed(libvirtd, notes, History()) as survey:
        await until(lambda: told[-1:] == [0])
        first, full = of(notes, live_pool)[:2]
        known = len(told)
        assert not first.witnessed
        assert full.volumes_at
        assert first.at < full.volumes_at < full.at
        assert [one.witnessed for one in sweeps(notes)][:2] == [False, True]
        notes.submitted.clear()
        survey.request("")
        await until(lambda: {one.volumes for one in of(notes, live_pool)} == {None, ()})
        assert all(one.witnessed for one in of(notes, live_pool))
        notes.submitted.clear()
        survey.request(live_pool.uuid)
        await until(lambda: {one.volumes for one in of(notes, live_pool)} == {None, ()})
        await until(lambda: len(sweeps(notes)) > 1)
    assert all(one.witnessed for one in sweeps(notes))
    assert set(told[known:]) == {0}


async def test_what_is_known_is_not_witnessed_any_more_on_a_new_connection(
    libvirtd: TestDriverHost, live_pool: LivePool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes, lost = Notes(), threading.Event()
    read = survey_module._pools

    def pools(connection: HostConnection) -> Iterator[tuple[LivePool, PoolFacts | None]]:
        if lost.is_set():
            lost.clear()
            notes.submitted.clear()
            raise ConnectionLost.because("list the pools", "kvm1")
        yield from read(connection)

    monkeypatch.setattr(survey_module, "_pools", pools)
    monkeypatch.setattr(survey_module, "PAUSE_S", 0.1)
    settings.SWEEP_INTERVAL_S = 0.1
    async with surveyed(libvirtd, notes, Mock()):
        await until(lambda: len(sweeps(notes)) > 2)
        lost.set()
        await until(lambda: not lost.is_set() and len(sweeps(notes)) > 1)
    assert [one.witnessed for one in sweeps(notes)][:2] == [False, True]
    assert not of(notes, live_pool)[0].witnessed


@pytest.mark.parametrize("undefined", [False, True])
async def test_a_pool_that_is_stopped_while_others_are_read_is_not_said_to_be_active(
    libvirtd: TestDriverHost, settings: Settings, monkeypatch: pytest.MonkeyPatch, *, undefined: bool
) -> None:
    """Its volumes cannot be listed then, since it is known from before."""
    notes = Notes()
    stopped_at: list[datetime] = []
    read = survey_module._volumes
    live = libvirtd.connection.define_pool(PoolSpec("images", "dir", path="/images").to_xml())
    live.start()

    def volumes(pool: LivePool) -> Iterator[VolumeDefinition]:
        if pool.uuid == live.uuid and not stopped_at:
            live.stop()
            stopped_at.append(timezone.now())
            if undefined:
                live.undefine()
        yield from read(pool)

    monkeypatch.setattr(survey_module, "_volumes", volumes)
    settings.SWEEP_INTERVAL_S = 0.1
    try:
        async with surveyed(libvirtd, notes, Mock()):
            await until(lambda: len(sweeps(notes)) > 2)
    finally:
        if not undefined:
            live.undefine()
    first, *later = of(notes, live)
    assert (first.facts.state, first.volumes) == ("running", None)
    assert {(one.facts.state, one.trouble) for one in later} == (set() if undefined else {("inactive", "")})
    assert all(one.at >= stopped_at[0] for one in later)


async def test_facts_that_cannot_be_read_again_are_handed_over_as_old_as_they_are(
    libvirtd: TestDriverHost, live_pool: LivePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes, refused = Notes(), threading.Event()
    read = LivePool.facts

    def facts(pool: LivePool) -> PoolFacts:
        if refused.is_set():
            raise CallError.because("read the pool", "kvm1")
        return read(pool)

    def volumes(pool: LivePool) -> Iterator[VolumeDefinition]:
        yield from ()
        refused.set()
        raise CallError.because("list the volumes", "kvm1")

    monkeypatch.setattr(LivePool, "facts", facts)
    monkeypatch.setattr(survey_module, "_volumes", volumes)
    live_pool.start()
    try:
        async with surveyed(libvirtd, notes, Mock()):
            await until(lambda: any(one.trouble for one in of(notes, live_pool)))
    finally:
        refused.clear()
    known, troubled = of(notes, live_pool)[:2]
    assert troubled.trouble == "Cannot list the volumes on kvm1: it failed."
    assert (troubled.at, troubled.facts) == (known.at, known.facts)


async def test_a_pool_that_hangs_is_said_to_and_read_when_it_answers_again(
    libvirtd: TestDriverHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes, answers = Notes(), threading.Event()

    def slow(pool: LivePool) -> Iterator[VolumeDefinition]:
        answers.wait(20)
        yield from ()

    monkeypatch.setattr(survey_module, "_volumes", slow)
    monkeypatch.setattr(survey_module, "DEADLINE_S", 1)
    monkeypatch.setattr(survey_module, "PAUSE_S", 0.1)
    async with surveyed(libvirtd, notes, Mock()):
        try:
            await until(lambda: any(isinstance(one, StorageSilent) for one in notes.submitted))
            (silent,) = [one for one in notes.submitted if isinstance(one, StorageSilent)]
            assert "pool default-pool" in silent.words
            answers.set()
            await until(lambda: any(isinstance(one, PoolSeen) and one.volumes == () for one in notes.submitted))
        finally:
            answers.set()

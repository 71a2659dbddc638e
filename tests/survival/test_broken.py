"""A full disk, a cut network, a libvirtd that is restarted: a clear message, and nothing lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from domains.cloning.proposal import Wish
from domains.cloning.services import clone
from domains.migration.services import request_migration
from storage import volume_services
from storage.models import Pool
from tests.domains.migrating import begun
from tests.polling import poll
from tests.survival import accidents, picture
from tests.survival.conftest import MakeRounds
from tests.survival.moves import Move, MoveCopied, MoveShared
from tests.survival.picture import Picture
from tests.survival.rounds import Attempt, Rounds
from tests.survival.stage import Actor, Stage
from tests.survival.workers import Crew
from vmdash.jobs.models import Job
from vmdash.lab import xml
from vmdash.lab.commands import LabError
from vmdash.lab.qemu_host import QemuHost
from vmdash.virt.migration_types import MigrationOptions

pytestmark = [pytest.mark.survival, pytest.mark.lab, pytest.mark.django_db(transaction=True)]

SMALL = "/var/lib/libvirt/small"
FULL = "the storage is full"


@pytest.fixture
def small(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A pool `small` on kvm2 and kvm3: the one on kvm3 has room for 12 MiB, and nobody has noticed yet."""
    monkeypatch.setitem(picture.FOLDERS, "small", SMALL)
    here, there = stage.hosts["kvm2"], stage.hosts["kvm3"]
    (here.root / SMALL.lstrip("/")).mkdir(parents=True, exist_ok=True)
    with accidents.small_folder(there, SMALL, 12):
        for host in (here, there):
            draft = host.directory / "small.xml"
            draft.write_text(xml.directory_pool("small", Path(SMALL)))
            host.virsh("pool-create", str(draft))
        yield stage
        for host in (here, there):
            with suppress(LabError):
                host.virsh("pool-destroy", "small")
    shutil.rmtree(here.root / SMALL.lstrip("/"))


def ended(job: Job) -> Job:
    poll(lambda: Job.objects.filter(pk=job.pk).exclude(finished_at=None).exists(), 90, f"{job.label} to end")
    job.refresh_from_db()
    return job


def failed_for_lack_of_space(job: Job) -> None:
    ended(job)
    assert (job.state, FULL in job.error) == ("failed", True), (job.state, job.error, job.error_detail)


def forget_how_full(stage: Stage) -> None:
    """The last survey was before."""
    stage.look()
    Pool.objects.filter(name="small").update(available_bytes=10**12)


def test_copies_to_a_full_disk_leave_nothing(small: Stage, crew: Crew) -> None:
    actor = Actor("squeezed", "kvm3")
    small.own.add(actor.name)
    small.make(actor)
    small.refresh()
    try:
        forget_how_full(small)
        crew.on_duty()
        before = small.picture()
        there = small.hosts["kvm3"].run(["ls", SMALL])
        wish = Wish(names=["squeezed-twin"], host=small.rows["kvm3"], pool="small")
        failed_for_lack_of_space(clone(domain=small.domain(actor.name), wish=wish, user=small.user))
        failed_for_lack_of_space(
            volume_services.clone(
                source=small.volume("kvm3", actor.file()),
                pool=small.pool("kvm3", "small"),
                name="squeezed-copy.raw",
                format="raw",
                user=small.user,
            )
        )
        failed_for_lack_of_space(
            volume_services.create(
                pool=small.pool("kvm3", "small"),
                name="squeezed-new.img",
                capacity_bytes=64 << 20,
                format="raw",
                preallocated=True,
                user=small.user,
            )
        )
        assert small.picture() == before
        assert small.hosts["kvm3"].run(["ls", SMALL]) == there
    finally:
        small.clear(actor.name, small.picture())
        small.refresh()


@pytest.mark.parametrize("state", ["running", "shut off"])
def test_a_guest_whose_disk_finds_no_room_stays_where_it_is(small: Stage, crew: Crew, state: str) -> None:
    actor = Actor("stout", "kvm2", state=state)
    small.own.add(actor.name)
    small.make(actor)
    host = small.hosts["kvm2"]
    if state == "running":
        host.virsh("destroy", actor.name)
    shutil.move(small.images("kvm2") / actor.file(), host.root / SMALL.lstrip("/") / actor.file())
    definition = host.virsh("dumpxml", "--inactive", actor.name).replace(picture.IMAGES, SMALL)
    (host.directory / "stout.xml").write_text(definition)
    host.virsh("define", str(host.directory / "stout.xml"))
    if state == "running":
        host.virsh("start", actor.name)
    host.virsh("pool-refresh", "small")
    try:
        forget_how_full(small)
        crew.on_duty()
        before = small.picture()
        job = request_migration(
            domain=small.domain(actor.name), target=small.rows["kvm3"], user=small.user, options=MigrationOptions()
        )
        failed_for_lack_of_space(job)
        assert small.picture() == before
        assert small.hosts["kvm3"].run(["ls", SMALL]) == ""
    finally:
        small.clear(actor.name, small.picture())
        small.refresh()


def slowly_on_its_way(rounds: Rounds) -> tuple[Picture, Attempt, QemuHost, QemuHost]:
    """A move that would take long, in its midst; and where it goes from and to."""
    before = rounds.set_up()
    (deed,) = rounds.deeds
    assert isinstance(deed, Move)
    deed.bandwidth_mib_s = 2
    attempt = Attempt(deed, 0.5, deed.ask(before))
    begun(attempt.look())
    attempt.note()
    here = before.host_of(deed.guest)
    there = next(name for name in deed.between if name != here)
    return before, attempt, rounds.stage.hosts[here], rounds.stage.hosts[there]


def is_interrupted(attempt: Attempt) -> bool:
    job = attempt.look()
    return bool(job.finished_at) or job.state == "lost"


def says_where_it_is(job: Job, guest: str, host: str) -> None:
    assert f"{guest} runs on {host} as before." in job.error, job.error
    assert "the hypervisor reported an error" not in job.error, job.error


@pytest.mark.parametrize("sort", [MoveShared, MoveCopied])
def test_the_network_to_the_target_is_cut_in_the_midst_of_a_move(rounds_of: MakeRounds, sort: type[Move]) -> None:
    rounds = rounds_of([sort])
    before, attempt, here, there = slowly_on_its_way(rounds)
    with accidents.cut_off(there):
        poll(lambda: is_interrupted(attempt), 60, "the move to be interrupted")
    rounds.recover([attempt])
    # The target's libvirtd takes its half away by itself, when it notices that nobody is there any more.
    own = attempt.deed.own
    poll(lambda: rounds.stage.picture().of(own) == before.of(own), 60, "the target to have nothing of it")
    rounds.check(before, [attempt])
    assert attempt.look().state == "failed"
    says_where_it_is(attempt.look(), sort.guest_name(), here.spec.name)


@pytest.mark.parametrize("sort", [MoveShared, MoveCopied])
def test_libvirtd_of_the_source_is_restarted_in_the_midst_of_a_move(rounds_of: MakeRounds, sort: type[Move]) -> None:
    rounds = rounds_of([sort])
    before, attempt, here, _ = slowly_on_its_way(rounds)
    here.signal_libvirtd("TERM")
    poll(lambda: here.daemon_pid("libvirtd") is None, 60, "libvirtd to end")
    here.start_libvirtd()
    rounds.recover([attempt])
    rounds.check(before, [attempt])
    job = attempt.look()
    if job.state == "failed":
        says_where_it_is(job, sort.guest_name(), here.spec.name)

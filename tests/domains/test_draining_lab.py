"""A real host is drained by a real worker, and gets back exactly what it had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from domains.draining import services
from domains.draining.back import plan_return
from domains.draining.models import Drain, DrainedGuest
from domains.draining.plan import Policy, plan_drain
from domains.draining.record import open_drain
from domains.models import Domain
from hosts.models import Host
from tests.domains.migrating import STATES, Fleet, begun, ended
from tests.polling import poll
from tests.worker import Worker
from vmdash.access.models import User
from vmdash.jobs import recovery
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job
from vmdash.lab.commands import LabError
from vmdash.lab.qemu_host import QemuHost

pytestmark = [pytest.mark.lab, pytest.mark.django_db(transaction=True)]


class Drained:
    """kvm2 with some of its guests. No collector runs: `look` writes down where they are."""

    def __init__(self, fleet: Fleet, names: tuple[str, ...]) -> None:
        self.fleet = fleet
        self.names = names
        self.guests = {name: fleet.guest(name, "kvm2") for name in names}
        self.before = self.states()

    @property
    def host(self) -> Host:
        return Host.objects.get(name="kvm2")

    def states(self) -> dict[str, dict[str, str]]:
        return {name: self.fleet.states(name) for name in self.names}

    def drain(self) -> Job:
        policy = Policy()
        plan = plan_drain(self.host, policy, self.fleet.user)
        return services.drain(host=self.host, policy=policy, mark=plan.mark, user=self.fleet.user)

    def bring_back(self) -> Job:
        opened = open_drain(self.host, self.fleet.user)
        assert opened
        plan, _ = plan_return(opened, self.fleet.user)
        return services.bring_back(host=self.host, mark=plan.mark, user=self.fleet.user)

    def look(self) -> None:
        for name, guest in self.guests.items():
            where = self.fleet.where(name)
            Domain.objects.filter(pk=guest.pk).update(
                host=self.fleet.rows[where],
                state=STATES[self.fleet.states(name)[where]],
                has_managed_save=has_saved_state(self.fleet, name),
            )

    def steps(self, *, returning: bool = False) -> dict[str, DrainedGuest]:
        return {step.name: step for step in DrainedGuest.objects.filter(returning=returning)}

    def is_told_truly(self) -> bool:
        """Each guest is on one host: where the record says that it was moved, or where it was."""
        for name, step in self.steps().items():
            if step.outcome == "done" and step.target_name:
                assert self.fleet.states(name) == {step.target_name: self.before[name]["kvm2"]}
            elif step.outcome == "done":
                assert (self.fleet.states(name), has_saved_state(self.fleet, name)) == ({"kvm2": "shut off"}, True)
            elif step.outcome in ("failed", "cancelled"):
                assert self.fleet.states(name) == self.before[name]
            else:
                raise AssertionError((name, step.how, step.outcome))
        return True


@pytest.fixture
def fleet(lab_hosts: dict[str, QemuHost], operator: User) -> Fleet:
    return Fleet(lab_hosts, operator)


@contextmanager
def kvm2(fleet: Fleet, *names: str) -> Iterator[Drained]:
    """Afterwards each of the guests is where and as it was, however the test ended."""
    drained = Drained(fleet, names)
    try:
        yield drained
    finally:
        for name in names:
            fleet.bring_home(name, "kvm2")
            if fleet.states(name) != drained.before[name]:
                fleet.hosts["kvm2"].virsh("start", name)  # it was saved


@contextmanager
def slow(fleet: Fleet, name: str, mib_s: int) -> Iterator[None]:
    """It moves slowly, until the end or until `hurry`."""
    fleet.hosts["kvm2"].virsh("migrate-setspeed", name, str(mib_s))
    try:
        yield
    finally:
        hurry(fleet, name)


def hurry(fleet: Fleet, name: str) -> None:
    """Wherever it runs by now, or on its way."""
    for host in fleet.hosts.values():
        with suppress(LabError):
            host.virsh("migrate-setspeed", name, "100000")


def succeeded(job: Job) -> Job:
    ended(job)
    log = [(part.label, part.error) for part in [job, *job.children.all()]]
    assert job.state == "succeeded", (log, [line.text for line in job.lines.all()])
    return job


def test_each_guest_leaves_and_comes_back_as_it_was(fleet: Fleet, worker: Worker) -> None:
    with kvm2(fleet, "wiki", "mail1", "git", "backup1") as drained:
        drained.guests["mail1"].snapshots.create(name="before")  # so it cannot move, and is saved
        succeeded(drained.drain())
        steps = drained.steps()
        assert {name: (step.how, step.outcome) for name, step in steps.items()} == {
            "wiki": ("move_live", "done"),
            "git": ("save", "done"),  # it is paused
            "backup1": ("move_off", "done"),
            "mail1": ("save", "done"),
        }
        assert drained.states() == {
            "wiki": {steps["wiki"].target_name: "running"},
            "git": {"kvm2": "shut off"},
            "backup1": {steps["backup1"].target_name: "shut off"},
            "mail1": {"kvm2": "shut off"},
        }
        assert all(has_saved_state(fleet, name) for name in ("mail1", "git"))
        assert drained.host.maintenance == "maintenance"

        drained.look()
        succeeded(drained.bring_back())
        assert drained.states() == drained.before
        assert not any(has_saved_state(fleet, name) for name in ("mail1", "git"))
        assert drained.host.maintenance == "none"
        assert not Drain.objects.open().exists()


def test_cancelled_it_stops_what_has_begun_and_begins_no_more(fleet: Fleet, worker: Worker) -> None:
    with kvm2(fleet, "wiki") as drained, slow(fleet, "wiki", 1):
        job = drained.drain()
        begun(move_of(job, "wiki"))
        jobs.cancel(job=job, user=fleet.user)
        ended(job)
        assert (job.state, job.error) == ("cancelled", "")
        assert drained.steps()["wiki"].outcome == "cancelled"
        assert drained.is_told_truly()
        assert drained.host.maintenance == "none"
        assert not Drain.objects.open().exists()


def test_it_outlives_its_worker(fleet: Fleet, new_worker: Callable[[], Worker]) -> None:
    first = new_worker()
    with kvm2(fleet, "wiki", "git", "backup1") as drained, slow(fleet, "wiki", 2):
        job = drained.drain()
        begun(move_of(job, "wiki"))
        first.kill()
        hurry(fleet, "wiki")

        new_worker()
        poll(lambda: is_finished(job) or recovery.recover(), 90, "recovery to end it")  # type: ignore[func-returns-value]
        ended(job)
        assert not Job.objects.unfinished().exists()
        assert job.state in ("succeeded", "failed")
        outcomes = {step.outcome for step in drained.steps().values()}
        assert outcomes == {"done"} if job.state == "succeeded" else "failed" in outcomes
        assert drained.is_told_truly()
        assert drained.host.maintenance == "maintenance"

        drained.look()
        succeeded(drained.bring_back())
        assert drained.states() == drained.before


def has_saved_state(fleet: Fleet, name: str) -> bool:
    told = fleet.hosts[fleet.where(name)].virsh("dominfo", name)
    return "yes" in told.split("Managed save:")[1].splitlines()[0]


def move_of(job: Job, name: str) -> Job:
    found = poll(lambda: job.children.filter(kind="domain.migrate", target_name=name).first(), 30, f"{name} to begin")
    assert found
    return found


def is_finished(job: Job) -> bool:
    return Job.objects.filter(pk=job.pk).exclude(finished_at=None).exists()

"""Actions on real guests of the practice fleet, done by a real worker, also one that is killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from django.utils import timezone

from domains.models import Domain
from domains.services import act
from hosts.models import Credential
from tests.factories import DomainFactory, HostFactory
from tests.polling import poll
from tests.worker import Worker
from vmdash.access.models import User
from vmdash.jobs import recovery
from vmdash.jobs.models import Job
from vmdash.lab.qemu_host import QemuHost

pytestmark = [pytest.mark.lab, pytest.mark.django_db(transaction=True)]

STATES = {"running": "running", "paused": "paused", "shut off": "shut_off"}


class RealGuest:
    """A guest of the practice fleet with its row, which `look` brings up to date as the collector would."""

    def __init__(self, host: QemuHost, name: str, user: User) -> None:
        self.host, self.name, self.user = host, name, user
        entry = dict(host.entry())
        credential = Credential.objects.create(**entry.pop("credential"))  # type: ignore[arg-type]
        row = HostFactory.create(
            credential=credential, **{key: entry[key] for key in entry if key not in ("site", "tags")}
        )
        self.row: Domain = DomainFactory.create(
            uuid=UUID(host.virsh("domuuid", name).strip()), host=row, name=name, state_since=timezone.now()
        )
        self.look()

    def state(self) -> str:
        return self.host.virsh("domstate", self.name).strip()

    def look(self) -> None:
        self.row.state = STATES[self.state()]
        self.row.has_managed_save = "Managed save:   yes" in self.host.virsh("dominfo", self.name)
        self.row.save()

    def ask(self, action: str) -> Job:
        self.look()
        return act(domain=self.row, action=action, user=self.user, confirm=self.name)

    def do(self, action: str) -> list[str]:
        """The log of the job, once it has succeeded."""
        job = ended(self.ask(action))
        assert (job.state, job.error) == ("succeeded", "")
        return [line.text for line in job.lines.all()]


def ended(job: Job) -> Job:
    poll(lambda: Job.objects.filter(pk=job.pk).exclude(finished_at=None).exists(), 90, f"{job.label} to end")
    job.refresh_from_db()
    return job


@pytest.fixture
def backup1(lab_hosts: dict[str, QemuHost], operator: User) -> Iterator[RealGuest]:
    """A guest that is off, on the host that is reached over TLS."""
    guest = RealGuest(lab_hosts["kvm2"], "backup1", operator)
    yield guest
    if guest.state() != "shut off":
        guest.host.virsh("destroy", "backup1")


def test_a_guest_is_started_shut_down_by_its_agent_and_forced_off(
    backup1: RealGuest, booted: Callable[[str, str], QemuHost], worker: Worker
) -> None:
    backup1.do("start")
    assert backup1.state() == "running"
    booted("kvm2", "backup1")
    assert backup1.do("shutdown") == ["Asking the guest agent", "Waiting for the guest to shut down"]
    assert backup1.state() == "shut off"
    backup1.do("start")
    backup1.do("force_off")
    assert backup1.state() == "shut off"


@pytest.mark.parametrize("host", ["kvm1", "kvm3"])
def test_a_guest_is_saved_and_restored(
    host: str, lab_hosts: dict[str, QemuHost], operator: User, worker: Worker
) -> None:
    guest = RealGuest(lab_hosts[host], {"kvm1": "web2", "kvm3": "queue1"}[host], operator)
    guest.do("save")
    assert guest.state() == "shut off"
    guest.do("restore")
    assert guest.state() == "running"
    assert "restored" in guest.host.virsh("domstate", guest.name, "--reason")


def test_recovery_finds_out_what_a_killed_worker_left(
    backup1: RealGuest, operator: User, new_worker: Callable[[], Worker]
) -> None:
    first = new_worker()
    backup1.do("start")
    job = backup1.ask("shutdown")  # the guest is still booting and does not hear it
    poll(lambda: job.lines.exists(), 20, "the shutdown to begin")
    first.kill()
    backup1.host.virsh("destroy", "backup1")

    new_worker()
    poll(lambda: has_recovered(job), 60, "recovery to find out")

    assert (job.state, job.error) == ("succeeded", "")
    assert job.lines.last().text == "It was interrupted, but it came about: backup1 is off."  # type: ignore[union-attr]


def has_recovered(job: Job) -> bool:
    """Look after what was left, as the scheduler does all the time, and whether `job` has ended."""
    recovery.recover()
    job.refresh_from_db()
    return job.finished_at is not None


def test_a_worker_that_is_stopped_leaves_the_waiting_to_the_next(
    backup1: RealGuest, operator: User, new_worker: Callable[[], Worker]
) -> None:
    first = new_worker()
    backup1.do("start")
    job = backup1.ask("shutdown")
    poll(lambda: job.lines.exists(), 20, "the shutdown to begin")
    first.stop()
    job.refresh_from_db()
    assert job.state == "lost"
    backup1.host.virsh("destroy", "backup1")
    new_worker()  # looks after what was left when it starts
    ended(job)
    assert (job.state, job.error) == ("succeeded", "")

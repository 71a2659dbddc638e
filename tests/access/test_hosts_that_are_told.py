"""A host is named to who may see it, or where it is the present host of a guest that they may see; no other host is,
nor its address.

The guest of these tests came from one hidden host, is on its way to another, and is on a third meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import orjson
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from domains.guest_page import TABS
from domains.migration.equivalent import virsh_command
from domains.models import Domain, GuestEvent, Migration
from hosts.models import Host
from tests.api.caller import Caller
from tests.factories import DomainFactory, HostFactory, JobFactory, UserFactory
from tests.queries import queries_of
from vmdash.access.models import Grant, User
from vmdash.access.naming import hosts_told, unnamed, without_place
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.jobs.models import Job, JobLine
from vmdash.jobs.selectors import job_rows
from vmdash.jobs.services import JobInTheWay
from vmdash.jobs.transitions import message
from vmdash.live import groups
from vmdash.live.following import Following
from vmdash.live.hub import Delivery
from vmdash.live.sight import sights_of
from vmdash.virt.migration_types import MigrationOptions

pytestmark = pytest.mark.django_db

HIDDEN = ("geheim", "192.0.2.")
"""In all names and addresses that must not be told."""
ALONE = ["guest", "host"]
"""What was granted to the person: the guest alone, or the host alone where it is."""


@dataclass(frozen=True)
class World:
    guest: Domain
    here: Host
    came: Job
    goes: Job

    def person(self, alone: str) -> User:
        person = UserFactory.create(role="")
        thing = self.guest if alone == "guest" else self.here
        Grant.objects.create(person=person, role=Role.OPERATOR, scope=Scope(alone), scope_id=str(thing.pk))
        return person


@pytest.fixture
def world() -> World:
    one, two = (
        HostFactory.create(name=f"geheim{number}", address=f"192.0.2.{number}", migration_uri=f"tcp://192.0.2.{number}")
        for number in (1, 2)
    )
    here = HostFactory.create(name="kvm-here")
    guest = DomainFactory.create(name="web1", host=here, xml="<domain/>")
    now = timezone.now()
    for minutes, kind, host in ((50, "seen", one), (40, "moved", two), (30, "moved", here)):
        at = now - timedelta(minutes=minutes)
        GuestEvent.objects.create(
            uuid=guest.pk, name=guest.name, at=at, kind=kind, host_name=host.name, state="running"
        )
    came = _move(guest, two, here, state=Job.State.FAILED, error=f"{two.name} does not answer.", exclusive=False)
    goes = _move(
        guest, here, one, state=Job.State.RUNNING, phase=f"Asking kvm-here to send it to {one.name}", retry_of=came
    )
    Migration.objects.create(
        domain=guest, job=came, source_name=two.name, target_name=here.name, how="live", outcome="failed",
        error=came.error, started_at=now, duration_ms=5,
    )  # fmt: skip
    return World(guest, here, came, goes)


def _move(guest: Domain, source: Host, target: Host, **fields: object) -> Job:
    names = {"source": source.pk, "target": target.pk, "source_name": source.name, "target_name": target.name}
    job = JobFactory.create(
        kind="domain.migrate", label=f"Move web1 to {target.name}", target_id=str(guest.pk), target_name="web1",
        host_name=source.name, parameters=names, virsh=virsh_command("web1", source, target, MigrationOptions()),
        error_detail=f"unable to connect to server at '{target.address}:16509'", started_at=timezone.now(), **fields,
    )  # fmt: skip
    job.refresh_from_db()
    JobLine.objects.create(job=job, text=f"It stays on {source.name}; {target.name} has nothing of it")
    return job


def pages(world: World, alone: str) -> Iterator[str]:
    uuid, at = world.guest.pk, int(timezone.now().timestamp())
    yield reverse("guest", args=[uuid])
    yield from (reverse("guest-tab", args=[uuid, tab]) for tab in TABS if tab != "overview")
    yield from (f"{reverse(name, args=[uuid, 'json'])}?range=hour" for name in ("guest-charts", "guest-cpu-charts"))
    yield reverse("guest-migrate", args=[uuid])
    yield from (reverse(name) for name in ("fleet", "guests", "guest-rows", "jobs", "job-tray", "desk"))
    yield from (f"{reverse('fleet')}?at={at - minutes * 60}" for minutes in (1, 35, 45))
    yield f"{reverse('jobs')}?kind=domain.migrate"
    yield from (reverse("job", args=[job.pk]) for job in (world.came, world.goes))
    if alone == "host":
        yield reverse("host", args=[world.here.name])


def operations(world: World) -> Iterator[str]:
    at = int(timezone.now().timestamp()) - 35 * 60
    yield from ("/jobs", "/jobs?kind=domain.migrate", "/guests", f"/guests/{world.guest.pk}")
    for job in (world.came, world.goes):
        yield from (f"/jobs/{job.pk}", f"/jobs/{job.pk}/log")
    yield from (f"/fleet/past?at={at}", f"/fleet/past/guests?at={at}")


def test_the_names_that_may_be_told(world: World) -> None:
    names = ["geheim1", "geheim2", "kvm-here", "removed", ""]
    everything = UserFactory.create(role=Role.VIEWER)
    for person in (world.person("guest"), world.person("host")):
        assert hosts_told(person, names) == {"kvm-here"}
    assert hosts_told(UserFactory.create(role=""), names) == set()
    assert hosts_told(everything, names) == {*names} - {""}
    world.guest.gone_at = timezone.now()
    world.guest.save()
    assert hosts_told(world.person("guest"), names) == set()


@pytest.mark.usefixtures("victoria_metrics")
@pytest.mark.parametrize("alone", ALONE)
def test_no_page_names_another_host(world: World, alone: str) -> None:
    client = Client()
    client.force_login(world.person(alone))
    answers = {url: client.get(url) for url in pages(world, alone)}
    assert {url: answer.status_code for url, answer in answers.items() if answer.status_code != 200} == {}
    texts = {url: answer.content.decode() for url, answer in answers.items()}
    assert {url: _around(text) for url, text in texts.items() if _around(text)} == {}
    history = texts[reverse("guest-tab", args=[world.guest.pk, "history"])]
    assert "Move web1<" in history
    assert "a host that you may not see" in history
    assert "not shown: it names a host that you may not see" in history
    assert (
        "moved to a host that you may not see"
        in texts[f"{reverse('guest-charts', args=[world.guest.pk, 'json'])}?range=hour"]
    )


@pytest.mark.parametrize("alone", ALONE)
def test_nor_does_the_api(world: World, alone: str) -> None:
    calls = Caller(world.person(alone))
    answers = {path: calls.get(path) for path in operations(world)}
    assert {path: answer.status_code for path, answer in answers.items() if answer.status_code != 200} == {}
    texts = {path: answer.content.decode() for path, answer in answers.items()}
    assert {path: _around(text) for path, text in texts.items() if _around(text)} == {}
    came, goes = (orjson.loads(texts[f"/jobs/{job.pk}"]) for job in (world.came, world.goes))
    assert (came["label"], came["host"]) == ("Move web1 to kvm-here", "")
    assert (goes["label"], goes["host"]) == ("Move web1", "kvm-here")
    assert goes["phase"] == "Asking kvm-here to send it to a host that you may not see"


@pytest.mark.parametrize("alone", ALONE)
def test_nor_does_a_live_message(world: World, alone: str) -> None:
    person = world.person(alone)
    following = Following.of(["jobs"], person, sights_of({0: person})[0])
    # A host's people hear of jobs that happen there: not of one that came.
    for job in (world.came, world.goes) if alone == "guest" else (world.goes,):
        line = {"type": "job_line", "text": f"It goes from {job.host_name}", "job": str(job.pk)}
        for told in (message(job), message(job) | line):
            text = following.text(Delivery(groups.ALL_JOBS, orjson.dumps(told).decode(), calm=False))
            assert text is not None
            assert _around(text) == ""
            assert orjson.loads(text)["label"].startswith("Move web1")


@pytest.mark.parametrize("alone", ALONE)
def test_nor_does_the_refusal_of_another_job(world: World, alone: str) -> None:
    assert str(JobInTheWay(world.goes, world.person(alone))).startswith("web1 is busy: “Move web1” is running")


@pytest.mark.parametrize("alone", ALONE)
def test_jobs_cannot_be_found_by_the_name_of_another_host(world: World, alone: str) -> None:
    calls = Caller(world.person(alone))
    assert calls.get("/jobs?target=geheim2").json()["total"] == 0
    assert calls.get("/jobs?target=kvm-here").json()["total"] == 1


@pytest.mark.usefixtures("victoria_metrics")
def test_who_sees_everything_is_told_all(world: World) -> None:
    client = Client()
    client.force_login(UserFactory.create(role=Role.OPERATOR))
    history = client.get(reverse("guest-tab", args=[world.guest.pk, "history"])).content.decode()
    for words in ("Move web1 to geheim1", "<td>geheim2</td>", "tcp://192.0.2.1"):
        assert words in history
    charts = client.get(reverse("guest-charts", args=[world.guest.pk, "json"]), {"range": "hour"}).content.decode()
    assert "moved to geheim2" in charts
    log = client.get(reverse("job", args=[world.goes.pk])).content.decode()
    assert "It stays on kvm-here; geheim1 has nothing of it" in log


def test_many_jobs_take_no_more_queries(world: World) -> None:
    person = world.person("guest")
    jobs = Job.objects.visible_to(person)
    job_rows(jobs, person, folded=True)  # what they may see is read once, the first time
    few = queries_of(lambda: job_rows(jobs, person, folded=True))
    for number in range(5):
        other = HostFactory.create(name=f"geheim-{number}")
        _move(world.guest, other, world.here, state=Job.State.FAILED, exclusive=False)
    assert queries_of(lambda: job_rows(jobs, person, folded=True)) == few
    assert not any("geheim" in str(vars(row.job) | {"parameters": ""}) for row in job_rows(jobs, person, folded=True))


@pytest.mark.parametrize(
    ("title", "told"),
    [
        ("Move web1 to kvm9", "Move web1"),
        ("Make guest web1 on kvm9", "Make guest web1"),
        ("Move web1 to kvm90", "Move web1 to kvm90"),
        ("Drain kvm9", "Drain a host that you may not see"),
        ("Move kvm9-web to kvm1", "Move kvm9-web to kvm1"),
    ],
)
def test_a_title_without_its_place(title: str, told: str) -> None:
    assert without_place(title, {"kvm9"}) == told


def test_words_without_names() -> None:
    hidden = {"kvm9", "kvm9.lyon"}
    words = "kvm9.lyon: kvm9 is gone. Ask kvm9.example.org, kvm90 or old-kvm9."
    unseen = "a host that you may not see"
    assert unnamed(words, hidden) == f"{unseen}: {unseen} is gone. Ask {unseen}, kvm90 or old-kvm9."
    assert unnamed(words, set()) == words


def _around(text: str) -> str:
    """Where something is told that must not be; empty where nothing is."""
    at = max(text.find(word) for word in HIDDEN)
    return text[max(0, at - 60) : at + 40] if at >= 0 else ""

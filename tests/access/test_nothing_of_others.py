"""What others have is neither seen nor counted: every page is, to the letter, what it would be if it were not there.

Each list, search, filter, export and look into the past is asked for twice by somebody who was granted other things:
while the site `here` exists, and after all of it is gone. Something else that is hidden stays: whether there is
anything that one does not see, the page of the capacity does tell.
"""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from domains.models import GuestEvent, Migration, SnapshotSchedule
from hosts.models import HostEvent, Tag
from storage.models import Image, Upload
from tests.access.test_every_address import ADDRESSES
from tests.access.world import WORD, World
from tests.factories import DomainFactory, JobFactory
from vmdash.access.models import Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.alerts.models import Alert, Receiver, Silence
from vmdash.jobs.models import Job
from vmdash.webhooks.models import Webhook

pytestmark = pytest.mark.django_db

NOW = timezone.now().replace(microsecond=0)
SOME_TIME_AGO = int((NOW - timedelta(minutes=10)).timestamp())

LISTS = sorted(
    one.name
    for one in ADDRESSES
    if not one.arguments and getattr(one.view, "permission", None) and one.name != "metrics"
)
"""Whatever takes no argument; what is only for those who see everything says so, both times."""

QUESTIONS: dict[str, list[dict[str, str]]] = {
    "guests": [
        {"q": q}
        for q in (
            WORD,
            f"name:{WORD}*",
            f"host:{WORD}-host",
            f"site:{WORD}-site",
            f"tag:{WORD}-tag",
            f"-tag:{WORD}-tag",
            "state:running",
            "owner:ada",
            "address:192.0.2.7",
            "memory>0",
            f"-name:{WORD}*",
        )
    ]
    + [{"sort": "host"}, {"page": "2"}],
    "guest-rows": [{"q": q} for q in (WORD, f"host:{WORD}-host", "vcpus>0", "-name:web*")] + [{"limit": "1"}],
    "hosts": [{"q": WORD}, {"site": f"{WORD}-site"}, {"tag": f"{WORD}-tag"}, {"state": "up"}],
    "jobs": [{"state": "queued"}, {"target": WORD}, {"person": f"{WORD}-person"}, {"kind": "domain.start"}],
    "fleet": [{"site": f"{WORD}-site"}, {"at": str(SOME_TIME_AGO)}, {"at": str(SOME_TIME_AGO), "site": f"{WORD}-site"}],
    "storage": [{"q": WORD}, {"host": f"{WORD}-host"}],
    "chains": [{"q": WORD}],
    "desk": [{"q": q} for q in (WORD, "192.0.2.7", "ada", "the ledger")],
    "capacity": [{"site": f"{WORD}-site"}, {"at": str(SOME_TIME_AGO)}],
    "guest-new": [{"host": f"{WORD}-host"}],
    "volume-find": [{"path": f"/srv/{WORD}.qcow2"}, {"host": f"{WORD}-host", "path": "/x"}],
}
"""Besides the page as it is."""

PEOPLE = ["administrator elsewhere", "a guest elsewhere"]


@pytest.fixture
def world() -> World:
    """With a past, and with whatever else can be listed or counted."""
    world = World()
    tag = Tag.objects.create(name=f"{WORD}-tag")
    world.host.tags.add(tag)
    world.guest.tags.add(tag)
    world.guest.owner, world.guest.note, world.guest.addresses = "ada", "the ledger", ["192.0.2.7"]
    world.guest.save()
    DomainFactory.create(name=f"{WORD}-gone", host=world.host, gone_at=NOW)
    DomainFactory.create(name="hidden-too")
    for guest, host in ((world.guest, world.host), (world.other_guest, world.other_host)):
        for minutes, state in ((30, "running"), (5, "shut_off")):
            GuestEvent.objects.create(
                uuid=guest.pk, name=guest.name, at=NOW - timedelta(minutes=minutes), kind="state",
                host_name=host.name, state=state,
            )  # fmt: skip
        HostEvent.objects.create(host=host, at=NOW - timedelta(minutes=20), state="unreachable", reason=host.name)
        JobFactory.create(domain=guest, state=Job.State.FAILED, finished_at=NOW, error=f"{guest.name} is not there")
    Migration.objects.create(
        domain=world.guest, source_name=world.host.name, target_name="kvm9", how="live", outcome="moved",
        started_at=NOW - timedelta(minutes=4), duration_ms=5,
    )  # fmt: skip
    return world


def remove_what_is_here(world: World) -> None:
    world.host.delete()
    world.here.delete()
    Tag.objects.filter(name__startswith=WORD).delete()
    GuestEvent.objects.filter(name__startswith=WORD).delete()
    for model in (Alert, Silence, Image, Upload, SnapshotSchedule, Receiver, Webhook):
        model._default_manager.all().delete()
    Job.objects.filter(target_name__startswith=WORD).delete()
    world.credential.delete()
    world.somebody.delete()


def asked_for() -> list[str]:
    found = []
    for name in LISTS:
        for fields in ({}, *QUESTIONS.get(name, [])):
            found.append(f"{reverse(name)}?{urlencode(fields)}" if fields else reverse(name))
    for table in ("hosts", "failures", "guests"):
        found.append(reverse("capacity-table", args=[table]))
    for form in ("json", "csv"):
        found.append(reverse("fleet-charts", args=[form]))
        found.append(f"{reverse('fleet-charts', args=[form])}?site={WORD}-site")
    return found


def read(client: Client) -> dict[str, tuple[int, str]]:
    answers = {}
    for url in asked_for():
        answer = client.get(url)
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
        answers[url] = (answer.status_code, _without_what_differs_each_time(body.decode()))
    return answers


def _without_what_differs_each_time(text: str) -> str:
    return re.sub(r'(name="csrfmiddlewaretoken" value)="[^"]+"', r"\1", text)


@pytest.mark.parametrize("name", PEOPLE)
def test_every_page_is_what_it_would_be_without_them(world: World, name: str) -> None:
    person = world.person(name if name != "a guest elsewhere" else "stranger")
    assert isinstance(person, User)
    if name == "a guest elsewhere":
        scope_id = str(world.other_guest.pk)
        Grant.objects.create(person=person, role=Role.OPERATOR, scope=Scope.GUEST, scope_id=scope_id)
    client = Client()
    with time_machine.travel(NOW + timedelta(seconds=1), tick=False):
        client.force_login(person)
        before = read(client)
        assert sum(status == 200 for status, _ in before.values()) >= 15, "or nothing is shown to them"
        remove_what_is_here(world)
        after = read(client)
    differing = {url: (before[url], after[url]) for url in before if before[url] != after[url]}
    assert [f"{url}: {_first_difference(*pair)}" for url, pair in differing.items()] == []


def _first_difference(before: tuple[int, str], after: tuple[int, str]) -> str:
    if before[0] != after[0]:
        return f"{before[0]} and then {after[0]}"
    at = next((at for at, (one, two) in enumerate(zip(before[1], after[1], strict=False)) if one != two), 0)
    return f"{before[1][max(0, at - 80) : at + 80]!r} and then {after[1][max(0, at - 80) : at + 80]!r}"


def test_every_question_is_about_a_page_that_is_there() -> None:
    assert set(QUESTIONS) <= set(LISTS)

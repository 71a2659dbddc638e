"""Who is told what: what the owner may see, of the topics and places that were chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from domains.inventory import DatabaseInventory
from hosts.collector import writer
from hosts.collector.inventory import GuestMissing, Outcome, PoolSeen, PoolsSwept
from hosts.collector.writer import ConnectionSeen
from hosts.models import Host
from storage.inventory import DatabaseStorage
from tests.access.world import World
from tests.alerts.test_intake import told
from tests.collector.seen import PAUSED, RUNNING, in_full, state
from tests.factories import HostFactory, JobFactory, PoolFactory, UserFactory
from tests.webhooks.hook import Hook
from vmdash.access.models import Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.alerts import intake
from vmdash.alerts.models import Silence
from vmdash.jobs import transitions
from vmdash.virt.pool import PoolFacts, PoolState
from vmdash.webhooks import handing
from vmdash.webhooks.models import Delivery, Event, Kind, Topic, Webhook

pytestmark = pytest.mark.django_db

WebhookOf = Callable[..., Webhook]


@pytest.fixture
def world() -> World:
    return World()


def granted(scope: Scope, thing: object, role: Role = Role.OPERATOR) -> User:
    person = UserFactory.create(role="")
    Grant.objects.create(person=person, role=role, scope=scope, scope_id=str(thing.pk))  # type: ignore[attr-defined]
    return person


def event(kind: Kind = Kind.GUEST_STATE, host: str = "", guest: UUID | None = None, **fields: object) -> Event:
    return Event.objects.create(kind=kind, at=timezone.now(), host=host, guest=guest, **fields)


def heard(webhook: Webhook) -> set[UUID]:
    handing.hand_on()
    return {delivery.event_id for delivery in webhook.deliveries.all()}


def test_a_person_is_told_what_they_may_see_and_nothing_else(world: World, webhook_of: WebhookOf) -> None:
    here = event(host=world.host.name, guest=world.guest.pk)
    there = event(host=world.other_host.name, guest=world.other_guest.pk)
    of_host = event(Kind.HOST_STATE, host=world.host.name)
    of_nothing = event(Kind.ALERT_FIRING, severity="critical")
    everywhere = webhook_of(UserFactory.create(role=Role.OPERATOR))
    site, guest = webhook_of(granted(Scope.SITE, world.here)), webhook_of(granted(Scope.GUEST, world.guest))
    assert heard(everywhere) == {one.pk for one in (here, there, of_host, of_nothing)}
    assert heard(site) == {here.pk, of_host.pk}
    assert heard(guest) == {here.pk}, "not what its host tells"


@pytest.mark.parametrize("role", ["", Role.VIEWER, Role.HELP_DESK])
def test_who_has_no_right_to_webhooks_any_more_is_told_nothing(world: World, webhook_of: WebhookOf, role: str) -> None:
    webhook = webhook_of(UserFactory.create(role=role))
    event(host=world.host.name, guest=world.guest.pk)
    assert heard(webhook) == set()


@pytest.mark.parametrize("scope", ["site", "host", "guest"])
def test_of_what_one_may_see_a_part_can_be_chosen(
    world: World, webhook_of: WebhookOf, operator: User, scope: str
) -> None:
    thing = {"site": world.here, "host": world.host, "guest": world.guest}[scope]
    webhook = webhook_of(operator, scope=scope, scope_id=str(thing.pk))
    mine = event(host=world.host.name, guest=world.guest.pk)
    event(host=world.other_host.name, guest=world.other_guest.pk)
    assert heard(webhook) == {mine.pk}


def test_only_chosen_topics(world: World, webhook_of: WebhookOf, operator: User) -> None:
    webhook = webhook_of(operator, Topic.HOST_STATE)
    event(host=world.host.name, guest=world.guest.pk)
    of_host = event(Kind.HOST_STATE, host=world.host.name)
    assert heard(webhook) == {of_host.pk}


def test_of_jobs_ones_own_and_others_where_one_may_see_them(world: World, webhook_of: WebhookOf) -> None:
    owner = granted(Scope.SITE, world.here)
    Grant.objects.create(person=owner, role=Role.VIEWER, scope=Scope.SITE, scope_id=str(world.elsewhere.pk))
    here = event(Kind.JOB_FINISHED, host=world.host.name, guest=world.guest.pk, person=world.somebody.pk)
    there = {"host": world.other_host.name, "guest": world.other_guest.pk}
    event(Kind.JOB_FINISHED, person=world.somebody.pk, **there)  # type: ignore[arg-type]
    own = event(Kind.JOB_FINISHED, person=owner.pk, **there)  # type: ignore[arg-type]
    assert heard(webhook_of(owner)) == {here.pk, own.pk}


def test_of_alerts_about_jobs_likewise(world: World, webhook_of: WebhookOf) -> None:
    owner = granted(Scope.SITE, world.here)
    Grant.objects.create(person=owner, role=Role.VIEWER, scope=Scope.SITE, scope_id=str(world.elsewhere.pk))
    own = JobFactory.create(domain=world.other_guest, requested_by=owner)
    others = JobFactory.create(domain=world.other_guest, exclusive=False)
    webhook = webhook_of(owner, Topic.ALERT)
    about = {"alertname": "JobFailed", "host": world.other_host.name, "uuid": str(world.other_guest.pk)}
    alerts = [told() for _ in range(4)]
    for alert, job in zip(alerts, (None, own, others, world.job), strict=True):
        alert["labels"] |= about | ({"job_id": str(job.pk)} if job else {})
    intake.take(alerts)
    handing.hand_on()
    jobs = {one.event.data["labels"].get("job_id") for one in webhook.deliveries.all()}
    assert jobs == {None, str(own.pk)}


def test_an_alert_is_told_from_its_severity_on_and_its_end_to_those_who_knew(
    webhook_of: WebhookOf, operator: User, administrator: User, hook: Hook
) -> None:
    critical = webhook_of(operator, Topic.ALERT, least="critical")
    intake.take([told(severity="warning"), told(alertname="PoolFull", severity="critical")])
    handing.hand_on()
    late = webhook_of(administrator, Topic.ALERT)
    intake.take([told(ended=True, severity="warning"), told(ended=True, alertname="PoolFull", severity="critical")])
    handing.hand_on()
    assert [one.event.kind for one in critical.deliveries.order_by("id")] == ["alert.firing", "alert.resolved"]
    assert critical.deliveries.latest("id").event.data["resolved_at"]
    assert not late.deliveries.exists()


def test_an_alert_that_is_silenced_is_not_told(webhook_of: WebhookOf, operator: User) -> None:
    Silence.objects.create(rule="HostUnreachable", reason="x", ends_at=timezone.now() + timedelta(hours=1))
    webhook_of(operator)
    intake.take([told()])
    assert not Event.objects.exists()


def test_events_of_one_round_are_handed_on_once(world: World, webhook_of: WebhookOf, operator: User) -> None:
    webhook_of(operator)
    event(host=world.host.name)
    assert handing.hand_on() == 1
    assert handing.hand_on() == 0
    assert Delivery.objects.count() == 1


def test_jobs_make_events_with_what_is_needed_to_decide(webhook_of: WebhookOf, operator: User) -> None:
    webhook_of(operator)
    job = JobFactory.create(requested_by=operator)
    transitions.cancel_queued(job)
    made = Event.objects.get()
    assert (made.person, str(made.guest), made.data["state"]) == (operator.pk, job.target_id, "cancelled")


def test_pools_make_events_as_they_are_seen(webhook_of: WebhookOf, operator: User) -> None:
    webhook_of(operator, Topic.POOL_STATE, Topic.POOL_GONE)
    host, storage = HostFactory.create(name="kvm1"), DatabaseStorage()
    images = PoolFacts(str(uuid4()), "images", "dir", PoolState.RUNNING, True, True, 100, 40, 60, "/images")
    for facts in (images, replace(images, available_bytes=50), replace(images, state=PoolState.INACTIVE)):
        storage.record([(host, PoolSeen(facts, timezone.now(), witnessed=False))])
    storage.record([(host, PoolsSwept(frozenset(), timezone.now(), witnessed=False))])

    stopped, gone = Event.objects.order_by("at", "id")
    assert (stopped.kind, gone.kind, stopped.host) == ("pool.state", "pool.gone", "kvm1")
    assert stopped.data == {
        "uuid": images.uuid,
        "name": "images",
        "host": "kvm1",
        "state": "inactive",
        "state_in_words": "stopped",
        "witnessed": False,
    }
    assert gone.data == stopped.data


def test_telling_of_many_pools_asks_no_more_than_telling_of_one(webhook_of: WebhookOf, operator: User) -> None:
    webhook_of(operator, Topic.POOL_GONE)
    asked = []
    for pools in (1, 5):
        host = HostFactory.create()
        PoolFactory.create_batch(pools, host=host)
        with CaptureQueriesContext(connection) as queries:
            DatabaseStorage().record([(host, PoolsSwept(frozenset(), timezone.now()))])
        asked.append(len(queries))
    assert Event.objects.count() == 6
    assert asked[0] == asked[1]


def test_guests_and_hosts_make_events_as_the_collector_sees_them(webhook_of: WebhookOf, operator: User) -> None:
    webhook_of(operator)
    kvm1, kvm2, uuid = HostFactory.create(name="kvm1"), HostFactory.create(name="kvm2"), uuid4()
    inventory = DatabaseInventory()
    inventory.record([(kvm1, in_full(uuid, RUNNING))])
    inventory.record([(kvm1, state(uuid, PAUSED))])
    inventory.record([(kvm2, in_full(uuid, RUNNING)), (kvm1, GuestMissing(str(uuid), timezone.now()))])
    inventory.record([(kvm2, GuestMissing(str(uuid), timezone.now()))])
    made = [(one.kind, one.host, one.guest) for one in Event.objects.order_by("at", "id")]
    assert {("guest.seen", "kvm1", uuid), ("guest.moved", "kvm2", uuid), ("guest.gone", "kvm2", uuid)} <= set(made)
    paused = Event.objects.get(kind="guest.state", data__state="paused")
    assert paused.data["name"] == "web1"
    lost = ConnectionSeen(Host.State.UNREACHABLE, "Nobody answers.", timezone.now())
    kvm1.lease_token = 7
    kvm1.save()
    writer._record_host(kvm1, lost, Outcome())
    of_host = Event.objects.get(kind="host.state")
    assert (of_host.host, of_host.data["state"], of_host.data["reason"]) == ("kvm1", "unreachable", "Nobody answers.")


def test_without_webhooks_the_collector_asks_once_and_writes_nothing(db: None) -> None:
    DatabaseInventory().record([(HostFactory.create(), in_full(uuid4(), RUNNING))])
    assert not Event.objects.exists()

"""Lists, sums, searches and actions on two things hold what somebody may see and do, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from domains.models import DomainState, SnapshotSchedule
from hosts.models import Tag
from storage.models import ImageCopy, Pool, Storage
from tests.access.world import WORD, World
from tests.factories import (
    CredentialFactory,
    DomainFactory,
    HostFactory,
    JobFactory,
    UserFactory,
    VolumeFactory,
)
from tests.queries import queries_of
from vmdash.access.models import AuditEntry, Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Permission, Role
from vmdash.alerts.models import Alert
from vmdash.jobs.models import Job
from vmdash.jobs.services import cancellable_by, may_cancel

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return World()


def granted(role: Role, scope: Scope, thing: object, person: User | None = None) -> User:
    person = person or UserFactory.create(role="")
    Grant.objects.create(person=person, role=role, scope=scope, scope_id=str(thing.pk))  # type: ignore[attr-defined]
    return User.objects.get(pk=person.pk)


def client_for(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator_of_both_halves(world: World) -> Client:
    """Operates the other site, and sees this one."""
    person = world.person("viewer here and operator elsewhere")
    assert isinstance(person, User)
    return client_for(person)


class TestJobs:
    def test_everybodys_of_the_guests_that_one_operates(self, world: World) -> None:
        other = JobFactory.create(domain=world.other_guest)
        for scope, thing in ((Scope.GUEST, world.guest), (Scope.HOST, world.host), (Scope.SITE, world.here)):
            person = granted(Role.OPERATOR, scope, thing)
            assert list(Job.objects.visible_to(person)) == [world.job]
            assert may_cancel(world.job, person)
            assert not may_cancel(other, person)

    def test_by_a_tag(self, world: World) -> None:
        tag = Tag.objects.create(name="prod")
        world.guest.tags.add(tag)
        assert list(Job.objects.visible_to(granted(Role.OPERATOR, Scope.TAG, tag))) == [world.job]

    def test_a_guest_that_moved_takes_its_jobs_along(self, world: World) -> None:
        world.guest.host = world.other_host
        world.guest.save()
        assert not Job.objects.visible_to(granted(Role.OPERATOR, Scope.HOST, world.host)).exists()
        assert Job.objects.visible_to(granted(Role.OPERATOR, Scope.HOST, world.other_host)).exists()

    def test_ones_own_only_while_one_sees_what_they_are_about(self, world: World) -> None:
        person = granted(Role.HELP_DESK, Scope.GUEST, world.guest)
        own = JobFactory.create(domain=world.guest, requested_by=person, exclusive=False)
        assert list(Job.objects.visible_to(person)) == [own]
        Grant.objects.all().delete()
        person = granted(Role.HELP_DESK, Scope.GUEST, world.other_guest, person)
        assert not Job.objects.visible_to(person).exists()
        assert not may_cancel(own, person)

    def test_of_pools_and_of_guests_that_are_being_made_by_their_host(self, world: World) -> None:
        host = {"host_name": world.host.name, "domain": world.guest}
        pool = JobFactory.create(target_kind="pool", target_id=str(world.pool.pk), **host)
        new = JobFactory.create(target_id="6f3c1ab0-6b3f-4a3a-9d0e-0f5e6f1b2c3d", target_name="new", **host)
        assert set(Job.objects.visible_to(granted(Role.OPERATOR, Scope.HOST, world.host))) == {world.job, pool, new}
        assert set(Job.objects.visible_to(granted(Role.OPERATOR, Scope.GUEST, world.guest))) == {world.job}

    def test_the_whole_that_a_job_is_a_part_of_is_not_named_to_who_may_not_see_it(self, world: World) -> None:
        drain = JobFactory.create(
            label="Drain everything", target_kind="host", target_id=str(world.host.pk), target_name=world.host.name,
            host_name=world.host.name, domain=world.guest,
        )  # fmt: skip
        Job.objects.filter(pk=world.job.pk).update(parent=drain)
        client = client_for(granted(Role.OPERATOR, Scope.GUEST, world.guest))
        for url in (reverse("job", args=[world.job.pk]), reverse("jobs") + "?state=queued"):
            assert b"Drain everything" not in client.get(url).content

    def test_the_list_says_what_may_be_cancelled_in_as_many_queries_however_long_it_is(self, world: World) -> None:
        person = granted(Role.OPERATOR, Scope.SITE, world.here)
        granted(Role.VIEWER, Scope.SITE, world.elsewhere, person)
        own = JobFactory.create(domain=world.other_guest, requested_by=person)
        client, url = client_for(person), reverse("jobs")

        def may_cancel_by_job() -> dict[object, bool]:
            return {row.job.pk: row.may_cancel for row in client.get(url).context["rows"]}

        assert may_cancel_by_job() == {world.job.pk: True, own.pk: True}
        client.get("/")  # what is misplaced is found once, and kept for a while
        few = queries_of(may_cancel_by_job), queries_of(lambda: client.get("/"))
        for guest in DomainFactory.create_batch(5, host=world.host):
            part_of = JobFactory.create(domain=guest)
            JobFactory.create(domain=guest, parent=part_of, exclusive=False)
            JobFactory.create(domain=guest, requested_by=person, exclusive=False)
        assert (queries_of(may_cancel_by_job), queries_of(lambda: client.get("/"))) == few

    def test_for_many_jobs_at_once_the_answer_is_that_for_each(self, world: World) -> None:
        person = granted(Role.OPERATOR, Scope.HOST, world.host)
        granted(Role.VIEWER, Scope.SITE, world.elsewhere, person)
        host = {"host_name": world.host.name, "domain": world.guest}
        JobFactory.create(target_kind="pool", target_id=str(world.pool.pk), **host)
        JobFactory.create(domain=world.other_guest)
        JobFactory.create(domain=world.other_guest, requested_by=person, exclusive=False)
        jobs = list(Job.objects.all())
        assert cancellable_by(jobs, person) == {job.pk for job in jobs if may_cancel(job, person)}
        assert len(cancellable_by(jobs, person)) == 3


class TestAlerts:
    def test_of_a_guest_of_a_host_and_of_nothing_in_particular(self, world: World) -> None:
        now = timezone.now()
        times = {"started_at": now, "told_at": now, "expires_at": now}
        of_host = Alert.objects.create(fingerprint="2", rule="R", summary="s", host=world.host.name, **times)
        general = Alert.objects.create(fingerprint="3", rule="R", summary="s", **times)
        by_guest = granted(Role.OPERATOR, Scope.GUEST, world.guest)
        assert set(Alert.objects.visible_to(by_guest)) == {world.alert}
        assert set(Alert.objects.visible_to(granted(Role.VIEWER, Scope.HOST, world.host))) == {world.alert, of_host}
        assert general in Alert.objects.visible_to(UserFactory.create(role=Role.VIEWER))

    def test_of_jobs_where_one_may_see_the_job(self, world: World) -> None:
        about = {"host": world.host.name, "domain": world.guest.pk, "rule": "JobFailed", "summary": "s"}
        now = timezone.now()
        times = {"started_at": now, "told_at": now, "expires_at": now}
        person = granted(Role.HELP_DESK, Scope.GUEST, world.guest)
        own = JobFactory.create(domain=world.guest, requested_by=person, exclusive=False)
        of_others = Alert.objects.create(fingerprint="2", job=world.job.pk, **about, **times)
        of_own = Alert.objects.create(fingerprint="3", job=own.pk, **about, **times)
        assert set(Alert.objects.visible_to(person)) == {world.alert, of_own}
        assert set(Alert.objects.visible_to(UserFactory.create(role=Role.VIEWER))) == {world.alert}
        for operator in (granted(Role.OPERATOR, Scope.GUEST, world.guest), UserFactory.create(role=Role.OPERATOR)):
            assert set(Alert.objects.visible_to(operator)) == {world.alert, of_others, of_own}
        Job.objects.all().delete()
        assert set(Alert.objects.visible_to(person)) == {world.alert}, "it is not known any more whose they were"

    def test_buttons_where_they_work(self, world: World, operator_of_both_halves: Client) -> None:
        text = operator_of_both_halves.get(reverse("alerts")).content.decode()
        assert world.alert.summary in text
        assert reverse("alert-acknowledge", args=[world.alert.pk]) not in text
        assert reverse("silence-end", args=[world.silence.pk]) not in text


class TestTwoThings:
    def test_a_guest_is_moved_only_to_where_one_may_move_guests(
        self, world: World, operator_of_both_halves: Client
    ) -> None:
        start = reverse("guest-migrate-start", args=[world.other_guest.pk])
        page = operator_of_both_halves.get(reverse("guest-migrate", args=[world.other_guest.pk]))
        assert WORD not in "".join(card.host.name for card in page.context["page"].cards)
        assert operator_of_both_halves.post(start, {"target": world.host.pk}).status_code == 403
        assert not Job.objects.filter(kind="domain.migrate").exists()

    def test_a_clone_is_put_only_where_one_may_clone(self, world: World, operator_of_both_halves: Client) -> None:
        url = reverse("guest-clone", args=[world.other_guest.pk])
        fields = {"name": "copy", "count": 1, "first": 1, "kind": "full", "at_once": 1, "do": "clone"}
        assert operator_of_both_halves.post(url, {**fields, "place": str(world.host.pk)}).status_code == 400
        assert not Job.objects.filter(kind="domain.clone").exists()

    def test_of_many_guests_only_those_are_acted_on_where_one_may(
        self, world: World, operator_of_both_halves: Client
    ) -> None:
        hidden = DomainFactory.create(name="hidden", host=HostFactory.create())
        world.guest.state = DomainState.SHUT_OFF
        world.guest.save()
        Job.objects.all().delete()
        uuids = [str(guest.pk) for guest in (world.guest, world.other_guest, hidden)]
        answer = operator_of_both_halves.post(
            reverse("guests-action"), {"action": "shutdown", "uuid": uuids}, headers={"accept": "application/json"}
        )
        seen, own, unseen = orjson.loads(answer.content)["results"]
        assert "may not" in seen["error"]
        assert own["job"]
        assert (unseen["name"], unseen["error"]) == ("", "There is no such guest.")
        assert [job.target_name for job in Job.objects.all()] == ["web-lyon"]
        assert AuditEntry.objects.filter(refused=True, target_name=world.guest.name).exists()

    def test_an_image_is_copied_from_and_to_where_one_may(self, world: World, operator_of_both_halves: Client) -> None:
        url = reverse("image-copy", args=[world.image.pk])
        assert operator_of_both_halves.post(url, {"pool": world.other_pool.pk}).status_code == 403
        ImageCopy.objects.create(
            image=world.image, pool=world.other_pool, volume_name="copy", state=ImageCopy.State.GOOD
        )
        assert operator_of_both_halves.post(url, {"pool": world.pool.pk}).status_code == 302
        assert not Job.objects.filter(kind__startswith="image").exists()

    def test_a_schedule_is_made_for_guests_that_one_may_take_snapshots_of(
        self, world: World, operator_of_both_halves: Client
    ) -> None:
        form = {"name": "nightly", "kind": "disks", "every": "day", "at": "02:00", "weekday": 6, "do": "save"}
        keeps = {"keep_last": 1, "keep_hourly": 0, "keep_daily": 0, "keep_weekly": 0, "keep_monthly": 0}
        url, before = reverse("snapshot-schedule-add"), SnapshotSchedule.objects.count()
        answer = operator_of_both_halves.post(url, {**form, **keeps, "guest": world.guest.name})
        assert answer.status_code == 400
        answer = operator_of_both_halves.post(url, {**form, **keeps, "guest": world.other_guest.name})
        assert answer.status_code == 302
        assert SnapshotSchedule.objects.count() == before + 1

    def test_who_manages_one_host_cannot_have_the_secret_of_another_sent_there(self, world: World) -> None:
        secret = CredentialFactory.create(name="of the other")
        world.other_host.credential = secret
        world.other_host.save()
        client = client_for(granted(Role.ADMINISTRATOR, Scope.HOST, world.host))
        url = reverse("host-edit", args=[world.host.name])
        assert b"of the other" not in client.get(url).content
        fields = {"name": world.host.name, "driver": "qemu", "transport": "tcp", "address": "192.0.2.66"}
        assert client.post(url, {**fields, "credential": secret.pk}).status_code == 400
        world.host.refresh_from_db()
        assert world.host.credential is None


class TestAGuestAlone:
    """Somebody who was granted one guest, and not its host."""

    @pytest.fixture
    def client(self, world: World) -> Client:
        world.host.state, world.host.state_reason = "unreachable", "192.0.2.7 refuses"
        world.host.save()
        DomainFactory.create(name="neighbour", host=world.host)
        return client_for(granted(Role.HELP_DESK, Scope.GUEST, world.guest))

    def test_it_is_found_and_nothing_else_is_counted(self, client: Client) -> None:
        answer = orjson.loads(client.get(reverse("guest-rows")).content)
        assert answer["total"] == 1
        assert [row["name"] for row in answer["rows"]] == [f"{WORD}-guest"]
        for search in ("neighbour", "name:neigh*", "state:running name:neighbour", "-name:x* neighbour", "cpu<200"):
            assert orjson.loads(client.get(reverse("guest-rows"), {"q": search}).content)["total"] == 0

    def test_its_page_tells_that_its_host_is_away_and_not_why(self, world: World, client: Client) -> None:
        text = client.get(reverse("guest", args=[world.guest.pk])).content.decode()
        assert "does not answer" in text
        assert "192.0.2.7" not in text
        assert reverse("host", args=[world.host.name]) not in text
        rows = client.get(reverse("guest-rows")).content.decode()
        assert "192.0.2.7" not in rows

    def test_every_part_of_its_page_comes_without_its_neighbours(self, world: World, client: Client) -> None:
        for tab in ("cpu", "disks", "snapshots", "hardware", "xml", "history"):
            answer = client.get(reverse("guest-tab", args=[world.guest.pk, tab]))
            assert answer.status_code == 200
            assert b"neighbour" not in answer.content

    def test_time_travel_tells_of_its_present_host_the_name_alone(self, world: World, client: Client) -> None:
        at = int(timezone.now().timestamp()) - 60
        text = client.get(reverse("fleet"), {"at": str(at)}).content.decode()
        assert f'<span class="name cut">{world.host.name}</span>' in text
        assert reverse("host", args=[world.host.name]) not in text
        assert "192.0.2.7" not in text
        assert "neighbour" not in text
        assert "0 hosts" in text

    def test_sums_and_exports_hold_no_host(self, world: World, client: Client) -> None:
        for url in (reverse("fleet"), reverse("capacity"), reverse("hosts")):
            answer = client.get(url)
            assert answer.status_code == 200
            assert world.host.name.encode() not in answer.content.replace(f"{WORD}-guest".encode(), b"")
        for name in ("hosts", "failures", "guests"):
            assert world.host.name.encode() not in client.get(reverse("capacity-table", args=[name])).content


def test_metrics_are_for_those_who_see_everything(world: World, client_of: Callable[[User], Client]) -> None:
    assert client_of(granted(Role.VIEWER, Scope.HOST, world.host)).get(reverse("metrics")).status_code == 403
    assert client_of(UserFactory.create(role=Role.VIEWER)).get(reverse("metrics")).status_code == 200


def test_every_permission_is_asked_of_some_address() -> None:
    from tests.access.test_every_address import ADDRESSES

    asked = {getattr(address.view, "permission", None) for address in ADDRESSES}
    finer = {Permission.POWER, Permission.FORCE, Permission.VIEW_ALL_JOBS, Permission.MANAGE_PEOPLE}
    assert set(Permission) - asked <= finer


def test_of_shared_storage_a_guest_that_is_not_seen_is_in_the_way_without_its_name(world: World) -> None:
    shared = Storage.objects.create(name="nfs", evidence=Storage.Evidence.SOURCE)
    Pool.objects.update(storage=shared, path="/srv/shared")
    volume = VolumeFactory.create(pool=world.other_pool, name="disk.qcow2", path="/srv/shared/disk.qcow2")
    world.guest.disks = [{"target": "vda", "source": "/srv/shared/disk.qcow2", "readonly": False}]
    world.guest.save()
    person = world.person("operator elsewhere")
    assert isinstance(person, User)
    url = reverse("volume", args=[world.other_host.name, world.other_pool.name, volume.name])
    text = client_for(person).get(url).content.decode()
    assert "a guest that you may not see" in text
    assert WORD not in text

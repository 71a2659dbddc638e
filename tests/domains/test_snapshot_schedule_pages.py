"""The pages of snapshot schedules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from domains.models import Domain
from domains.snapshots.models import ScheduledSnapshot, SnapshotSchedule
from hosts.models import Host
from tests.factories import DomainFactory, JobFactory, ScheduleFactory, SnapshotFactory, TagFactory
from tests.queries import queries_of
from vmdash.access.models import AuditEntry

pytestmark = pytest.mark.django_db

HOME = "/domains/snapshot-schedules/"
TWO = datetime(2024, 11, 27, 2, tzinfo=UTC)
DISKS = [
    {
        "target": "vda", "bus": "virtio", "device": "disk", "source": "/images/web1.qcow2", "format": "qcow2",
        "readonly": False, "backing": [],
    }
]  # fmt: skip


@pytest.fixture
def web1() -> Domain:
    return DomainFactory.create(name="web1", disks=DISKS)


@pytest.fixture
def nightly(web1: Domain) -> SnapshotSchedule:
    return ScheduleFactory.create(name="nightly", domain=web1, keep_last=1, keep_daily=2)


def fields(**values: Any) -> dict[str, Any]:
    usual = {
        "name": "weekly", "guest": "web1", "tag": "", "kind": "disks", "quiesce": "on", "every": "week", "at": "03:30",
        "weekday": "6", "keep_last": "2", "keep_hourly": "0", "keep_daily": "0", "keep_weekly": "4",
        "keep_monthly": "12",
    }  # fmt: skip
    return usual | values


def shown(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def taken(schedule: SnapshotSchedule, domain: Domain, due: datetime, **values: Any) -> ScheduledSnapshot:
    name = f"{domain.name}-{due:%Y%m%d-%H%M}"
    SnapshotFactory.create(domain=domain, name=name)
    return ScheduledSnapshot.objects.create(schedule=schedule, domain=domain, due_at=due, snapshot_name=name, **values)


class TestWhoMay:
    @pytest.mark.parametrize(
        ("who", "sees", "changes"),
        [
            ("anonymous", 302, 302), ("nobody", 403, 403), ("viewer", 200, 403), ("help_desk", 200, 403),
            ("operator", 200, 200),
        ],
    )  # fmt: skip
    def test_see_and_change_them(
        self, who: str, sees: int, changes: int, nightly: SnapshotSchedule, request: pytest.FixtureRequest
    ) -> None:
        client = request.getfixturevalue(f"{who}_client")
        one = f"{HOME}{nightly.pk}/"
        for address in (HOME, one):
            assert client.get(address).status_code == sees
        for address in (f"{HOME}add/", f"{one}change/", f"{one}remove/"):
            assert client.get(address).status_code == changes
        if changes != 200:
            for address in (f"{HOME}add/", f"{one}change/", f"{one}remove/", f"{one}enable/"):
                assert client.post(address, fields(do="save")).status_code == changes
            assert list(SnapshotSchedule.objects.values_list("name", "enabled")) == [("nightly", True)]

    def test_a_viewer_is_not_offered_what_only_operators_may(
        self, nightly: SnapshotSchedule, viewer_client: Client, operator_client: Client
    ) -> None:
        for address, words in ((HOME, "New schedule"), (f"{HOME}{nightly.pk}/", "Disable")):
            assert words not in shown(viewer_client, address)
            assert words in shown(operator_client, address)

    def test_one_that_is_not_there(self, operator_client: Client) -> None:
        assert operator_client.get(f"{HOME}4711/").status_code == 404
        assert operator_client.get(f"{HOME}99999999999999999999/").status_code == 404


class TestTheForm:
    def test_it_shows_what_will_be_kept_before_it_is_made(self, web1: Domain, operator_client: Client) -> None:
        page = shown(operator_client, f"{HOME}add/?guest={web1.pk}")
        assert 'value="web1"' in page
        assert "After 30 days you will have" in page
        answer = operator_client.post(f"{HOME}add/", fields(every="hour", keep_hourly="5", keep_weekly="0"))
        page = answer.content.decode()
        assert answer.status_code == 200
        assert "of 720 taken" in page
        assert "one of the last 2" in page
        assert not SnapshotSchedule.objects.exists()

    def test_it_is_made(self, web1: Domain, operator_client: Client) -> None:
        before = timezone.now()
        answer = operator_client.post(f"{HOME}add/", fields(do="save"))
        made = SnapshotSchedule.objects.get()
        assert answer.headers["Location"] == f"{HOME}{made.pk}/"
        assert (made.domain, made.created_by_name, made.at.isoformat()) == (web1, "operator", "03:30:00")
        assert made.handled_until >= before
        assert AuditEntry.objects.get(action="snapshot_schedule.create").target_name == "weekly"

    def test_for_a_tag(self, operator_client: Client) -> None:
        tag = TagFactory.create(name="prod")
        operator_client.post(f"{HOME}add/", fields(do="save", guest="", tag=tag.pk))
        assert SnapshotSchedule.objects.get().tag == tag

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            ({"guest": ""}, "Name a guest, or choose a tag."),
            ({"guest": "nobody"}, "There is no such guest."),
            ({"guest": "twin"}, "There are several guests called twin"),
            ({"guest": "gone"}, "There is no such guest."),
            ({"tag": "1", "guest": "web1"}, "not both"),
            ({"tag": "99"}, "Select a valid choice"),
            ({"name": ""}, "This field is required"),
            ({"name": "nightly"}, "already exists"),
            ({"name": "a\x07b"}, "one line of plain text"),
            ({"at": "25:00"}, "Enter a valid time"),
            ({"at": ""}, "This field is required"),
            ({"every": "year"}, "Select a valid choice"),
            ({"weekday": "7"}, "Select a valid choice"),
            ({"keep_last": "101"}, "less than or equal to 100"),
            ({"keep_last": "-1"}, "greater than or equal to 0"),
            ({"keep_daily": ""}, "This field is required"),
            ({"keep_last": "0", "keep_weekly": "0", "keep_monthly": "0"}, "Keep at least one"),
        ],
    )
    def test_what_is_not_right_is_said_and_nothing_is_stored(
        self, values: dict[str, str], said: str, web1: Domain, operator_client: Client
    ) -> None:
        TagFactory.create(pk=1)
        for name in ("twin", "twin"):
            DomainFactory.create(name=name)
        DomainFactory.create(name="gone", gone_at=timezone.now())
        ScheduleFactory.create(name="nightly")
        answer = operator_client.post(f"{HOME}add/", fields(do="save", **values))
        page = answer.content.decode()
        assert (answer.status_code, said in page) == (400, True)
        assert "Constraint" not in page
        assert SnapshotSchedule.objects.count() == 1

    def test_a_change_of_the_times_counts_from_now_on(self, nightly: SnapshotSchedule, operator_client: Client) -> None:
        SnapshotSchedule.objects.update(handled_until=TWO)
        same = fields(do="save", name="other", every="day", at="02:00")
        operator_client.post(f"{HOME}{nightly.pk}/change/", same)
        nightly.refresh_from_db()
        assert (nightly.name, nightly.handled_until) == ("other", TWO)
        operator_client.post(f"{HOME}{nightly.pk}/change/", same | {"at": "02:01"})
        nightly.refresh_from_db()
        assert nightly.handled_until > TWO

    def test_it_warns_of_guests_of_which_nothing_can_be_taken(self, web1: Domain, operator_client: Client) -> None:
        Host.objects.update(enabled=False)
        page = operator_client.post(f"{HOME}add/", fields()).content.decode()
        assert "Cannot take snapshots of web1: its host" in page


class TestThePage:
    def test_it_shows_exactly_what_stays_and_what_goes_and_why(
        self, nightly: SnapshotSchedule, web1: Domain, viewer_client: Client
    ) -> None:
        for hours in (0, 1, 24, 48):
            taken(nightly, web1, TWO - timedelta(hours=hours))
        SnapshotFactory.create(domain=web1, name="by-hand")
        page = shown(viewer_client, f"{HOME}{nightly.pk}/")
        for words in (
            "one of the last 1, newest of 27 Nov", "a newer one of its day is there", "newest of 26 Nov",
            "older than the last 2 days that have one",
        ):  # fmt: skip
            assert words in page
        assert (page.count("stays</span>"), page.count("goes</span>")) == (2, 2)
        assert "by-hand" not in page

    def test_a_problem_is_shown_on_all_pages(
        self, nightly: SnapshotSchedule, web1: Domain, viewer_client: Client
    ) -> None:
        ScheduledSnapshot.objects.create(schedule=nightly, domain=web1, due_at=TWO, problem="web1 was busy.")
        for address in (HOME, f"{HOME}{nightly.pk}/", f"/domains/{web1.pk}/snapshots/"):
            page = shown(viewer_client, address)
            assert "web1 was busy." in page
            assert "not taken" in page

    def test_so_is_a_snapshot_that_could_not_be_deleted(
        self, nightly: SnapshotSchedule, web1: Domain, viewer_client: Client
    ) -> None:
        for day in range(3):
            taken(nightly, web1, TWO - timedelta(days=day))
        job = JobFactory.create(domain=web1, kind="snapshot.delete", state="failed", error="A clone stands on it.")
        ScheduledSnapshot.objects.filter(due_at=TWO - timedelta(days=2)).update(pruning_job=job)
        for address in (f"{HOME}{nightly.pk}/", f"/domains/{web1.pk}/snapshots/"):
            assert "A clone stands on it." in shown(viewer_client, address)
        assert "1 snapshot could not be deleted" in shown(viewer_client, HOME)

    def test_the_guest_tells_what_becomes_of_its_snapshots(
        self, nightly: SnapshotSchedule, web1: Domain, viewer_client: Client
    ) -> None:
        for hours in (0, 1):
            taken(nightly, web1, TWO - timedelta(hours=hours))
        page = shown(viewer_client, f"/domains/{web1.pk}/snapshots/")
        assert "keeps it: one of the last 1, newest of 27 Nov" in page
        assert 'title="not one of the last 1, a newer one of its day is there">deletes it' in page

    def test_guests_that_it_is_not_for_any_more(self, web1: Domain, viewer_client: Client) -> None:
        schedule = ScheduleFactory.create(domain=None, tag=TagFactory.create())
        taken(schedule, web1, TWO)
        page = shown(viewer_client, f"{HOME}{schedule.pk}/")
        assert "The schedule is not for it any more." in page
        assert "There is no guest that it is for now." in page

    def test_the_list_counts_guests_and_takes_as_many_queries_for_many(self, viewer_client: Client) -> None:
        def add(number: int) -> None:
            tag, other = TagFactory.create(), TagFactory.create()
            schedule = ScheduleFactory.create(domain=None, tag=tag)
            for index in range(number):
                guest = DomainFactory.create(disks=DISKS)
                guest.tags.add(tag, other)
                taken(schedule, guest, TWO - timedelta(days=index))

        add(2)
        few = queries_of(lambda: shown(viewer_client, HOME))
        add(3)
        ScheduleFactory.create_batch(3)
        assert queries_of(lambda: shown(viewer_client, HOME)) == few
        page = shown(viewer_client, HOME)
        assert [page.count(f'<td class="n">{number}</td>') for number in (1, 2, 3)] == [3, 1, 1]

    def test_without_any_it_says_how_to_begin(self, viewer_client: Client, operator_client: Client) -> None:
        assert "No schedules yet" in shown(viewer_client, HOME)
        assert f"{HOME}add/" in shown(operator_client, HOME)

    def test_the_guests_page_leads_there(self, viewer_client: Client) -> None:
        assert HOME in shown(viewer_client, "/domains/")


class TestEndingOne:
    def test_disabled_and_enabled_again(self, nightly: SnapshotSchedule, operator_client: Client) -> None:
        SnapshotSchedule.objects.update(handled_until=TWO)
        page = operator_client.post(f"{HOME}{nightly.pk}/enable/", {"enabled": "no"}, follow=True).content.decode()
        assert "It is disabled: nothing is taken" in page
        operator_client.post(f"{HOME}{nightly.pk}/enable/", {"enabled": "yes"})
        nightly.refresh_from_db()
        assert nightly.enabled
        assert nightly.handled_until > TWO

    def test_anything_else_is_refused(self, nightly: SnapshotSchedule, operator_client: Client) -> None:
        assert operator_client.post(f"{HOME}{nightly.pk}/enable/", {"enabled": "perhaps"}).status_code == 400
        nightly.refresh_from_db()
        assert nightly.enabled

    def test_removed_its_snapshots_stay(self, nightly: SnapshotSchedule, web1: Domain, operator_client: Client) -> None:
        taken(nightly, web1, TWO)
        address = f"{HOME}{nightly.pk}/remove/"
        assert "Those that it took stay" in shown(operator_client, address)
        assert operator_client.post(address).headers["Location"] == HOME
        assert not SnapshotSchedule.objects.exists()
        assert web1.snapshots.count() == 1
        assert AuditEntry.objects.filter(action="snapshot_schedule.remove").exists()

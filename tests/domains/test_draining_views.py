"""Who may drain hosts, what the pages say, and what follows for everybody else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from domains.draining.models import Drain, DrainedGuest
from domains.models import Domain
from domains.services import act
from hosts.models import Host
from tests.domains.draining import drained
from tests.factories import DomainFactory, HostFactory
from vmdash.access.models import AuditEntry, User
from vmdash.exceptions import Conflict
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

READING = ["host-drain", "host-return"]
POSTING = ["host-drain-start", "host-drain-check", "host-return-start", "host-maintenance-end"]


@pytest.fixture
def kvm1() -> Host:
    return HostFactory.create(name="kvm1")


@pytest.fixture
def kvm2() -> Host:
    return HostFactory.create(name="kvm2")


@pytest.fixture
def web1(kvm1: Host, kvm2: Host) -> Domain:
    return DomainFactory.create(name="web1", host=kvm1)


@pytest.fixture
def record(kvm1: Host, kvm2: Host, web1: Domain) -> Drain:
    """kvm1 is in maintenance, and web1 was moved to kvm2."""
    return drained(kvm1, web1, to=kvm2)


def url(name: str, host: str = "kvm1") -> str:
    return reverse(name, args=[host])


def mark(page: str) -> str:
    found = re.search(r'name="mark" value="(\w+)"', page)
    assert found, page
    return found[1]


def shown(client: Client, name: str = "host-drain", **query: str) -> str:
    return client.get(url(name), query).content.decode()


def start(client: Client, **fields: Any) -> Any:
    return client.post(url("host-drain-start"), {"fallback": "save", "mark": mark(shown(client)), **fields})


class TestWhoMay:
    @pytest.mark.parametrize("name", READING + POSTING)
    def test_those_who_may_not_drain_hosts_are_turned_away(
        self,
        name: str,
        record: Drain,
        anonymous_client: Client,
        nobody_client: Client,
        viewer_client: Client,
        help_desk_client: Client,
    ) -> None:
        for client, status in (
            (anonymous_client, 302),
            (nobody_client, 403),
            (viewer_client, 403),
            (help_desk_client, 403),
        ):
            answer = client.get(url(name)) if name in READING else client.post(url(name), {"fallback": "save"})
            assert answer.status_code == status
        assert not Job.objects.exists()
        assert Host.objects.get(name="kvm1").maintenance == "maintenance"

    @pytest.mark.parametrize("name", READING)
    def test_an_operator_sees_the_pages(self, name: str, record: Drain, operator_client: Client) -> None:
        assert operator_client.get(url(name)).status_code == 200
        assert operator_client.get(url(name, "kvm9")).status_code == 404

    @pytest.mark.parametrize("name", POSTING)
    def test_nothing_is_done_by_following_a_link(self, name: str, record: Drain, operator_client: Client) -> None:
        assert operator_client.get(url(name)).status_code == 405

    def test_operators_are_offered_it_and_viewers_are_not(
        self, web1: Domain, operator_client: Client, viewer_client: Client
    ) -> None:
        assert url("host-drain") in shown(operator_client, "host")
        assert url("host-drain") not in shown(viewer_client, "host")


class TestThePlan:
    def test_it_says_what_happens_to_each_guest_and_why(self, web1: Domain, operator_client: Client) -> None:
        page = shown(operator_client)
        assert "Move live to <b>kvm2</b>" in page
        assert "15.5 GiB of memory stay free there." in page
        assert "1 guest moves." in page

    def test_another_policy_shows_another_plan(self, web1: Domain, kvm2: Host, operator_client: Client) -> None:
        kvm2.delete()
        assert "Save and stop</span>" in shown(operator_client, fallback="save")
        assert "Shut down</span>" in shown(operator_client, fallback="shutdown")
        page = shown(operator_client, fallback="leave", strict="on")
        assert "Leave as it is</span>" in page
        assert "It cannot begin: web1 cannot move." in page
        assert re.search(r"primary\" type=\"submit\" disabled", page)

    def test_a_policy_that_makes_no_sense_is_refused(self, web1: Domain, operator_client: Client) -> None:
        assert operator_client.get(url("host-drain"), {"fallback": "burn"}).status_code == 400
        assert start(operator_client, fallback="burn").status_code == 400
        assert not Job.objects.exists()

    def test_all_moves_are_checked(self, web1: Domain, kvm2: Host, operator_client: Client) -> None:
        assert operator_client.post(url("host-drain-check")).status_code == 302
        check = Job.objects.get(kind="domain.migrate_check")
        assert (check.target_name, check.parameters["targets"]) == ("web1", [kvm2.pk])

    def test_an_empty_host_can_be_put_into_maintenance(self, kvm1: Host, operator_client: Client) -> None:
        assert "kvm1 has no guests to move or stop." in shown(operator_client)
        assert start(operator_client).status_code == 302


class TestDraining:
    def test_it_becomes_a_job_and_a_record_and_the_host_is_closed(
        self, web1: Domain, kvm1: Host, kvm2: Host, operator_client: Client, viewer_client: Client
    ) -> None:
        answer = start(operator_client)
        job = Job.objects.get(kind="host.drain")
        assert answer["Location"] == reverse("job", args=[job.pk])
        assert (job.label, job.exclusive, job.target_name) == ("Drain kvm1", True, "kvm1")
        step = DrainedGuest.objects.get()
        assert (step.name, step.from_state, step.how, step.target, step.outcome) == (
            "web1", "running", "move_live", kvm2, "planned",
        )  # fmt: skip
        kvm1.refresh_from_db()
        assert (kvm1.maintenance, kvm1.maintenance_by, kvm1.is_closed) == ("draining", "operator", True)
        assert AuditEntry.objects.get(action="host.drain").target_name == "kvm1"
        assert "kvm1 is being drained" in shown(viewer_client, "host")
        assert operator_client.get(url("host-drain"))["Location"] == reverse("job", args=[job.pk])

    def test_a_plan_that_has_changed_since_it_was_shown_is_shown_again(
        self, web1: Domain, kvm1: Host, operator_client: Client
    ) -> None:
        old = mark(shown(operator_client))
        DomainFactory.create(name="new1", host=kvm1)
        answer = start(operator_client, mark=old)
        assert answer.status_code == 409
        assert "The plan has changed since it was shown." in answer.content.decode()
        assert "new1" in answer.content.decode()
        assert not Job.objects.exists()
        assert not Drain.objects.exists()

    def test_the_strict_policy_is_kept(self, web1: Domain, kvm2: Host, operator_client: Client) -> None:
        kvm2.delete()
        answer = start(operator_client, strict="on")
        assert (answer.status_code, Job.objects.count()) == (409, 0)

    def test_it_is_drained_once_at_a_time(
        self, web1: Domain, kvm1: Host, operator_client: Client, operator: User
    ) -> None:
        plan = mark(shown(operator_client))
        start(operator_client)
        answer = operator_client.post(url("host-drain-start"), {"fallback": "save", "mark": plan})
        assert answer.status_code == 409
        assert Job.objects.count() == 1
        assert operator_client.post(url("host-maintenance-end")).status_code == 302
        assert Host.objects.get(pk=kvm1.pk).maintenance == "draining"

    def test_cancelled_before_it_began_it_leaves_everything_as_it_was(
        self, web1: Domain, kvm1: Host, operator_client: Client, operator: User, django_capture_on_commit_callbacks: Any
    ) -> None:
        start(operator_client)
        with django_capture_on_commit_callbacks(execute=True):
            jobs.cancel(job=Job.objects.get(), user=operator)
        kvm1.refresh_from_db()
        assert (kvm1.maintenance, kvm1.maintenance_since) == ("none", None)
        assert not Drain.objects.open().exists()


class TestInMaintenance:
    @pytest.fixture(autouse=True)
    def _in_maintenance(self, record: Drain) -> None:
        """For each of these."""

    def test_pages_say_so(self, viewer_client: Client, operator_client: Client) -> None:
        page = shown(viewer_client, "host")
        assert "kvm1 is in maintenance" in page
        assert "by ada" in page
        assert "Move live to kvm2" in page
        assert url("host-return") not in page
        assert url("host-return") in shown(operator_client, "host")
        for address in (reverse("hosts"), reverse("fleet")):
            assert "in maintenance</span>" in viewer_client.get(address).content.decode()

    def test_guests_do_not_start_there(self, kvm1: Host, operator: User) -> None:
        guest = DomainFactory.create(name="off1", host=Host.objects.get(pk=kvm1.pk), state="shut_off")
        with pytest.raises(Conflict, match=r"its host kvm1 is in maintenance\. End that on its page first\."):
            act(domain=guest, action="start", user=operator)

    def test_guests_do_not_move_there(self, web1: Domain, kvm1: Host, operator_client: Client) -> None:
        answer = operator_client.post(
            reverse("guest-migrate-start", args=[web1.pk]), {"target": kvm1.pk}, headers={"Accept": "application/json"}
        )
        assert (answer.status_code, answer.json()["error"]) == (
            409,
            "Cannot move web1 to kvm1: kvm1 is in maintenance. End that on its page first.",
        )
        page = operator_client.get(reverse("guest-migrate", args=[web1.pk])).content.decode()
        assert "kvm1 is in maintenance." in page

    def test_nor_are_they_cloned_there(self, web1: Domain, kvm1: Host, operator_client: Client) -> None:
        fields = {"name": "web2", "count": 1, "first": 1, "kind": "full", "place": kvm1.pk, "at_once": 1, "do": "clone"}
        page = operator_client.post(reverse("guest-clone", args=[web1.pk]), fields).content.decode()
        assert "kvm1 is in maintenance." in page
        assert not Job.objects.exists()

    def test_the_return_is_shown_and_then_becomes_a_job(
        self, record: Drain, kvm1: Host, operator_client: Client
    ) -> None:
        page = shown(operator_client, "host-return")
        assert "Move live to <b>kvm1</b>" in page
        answer = operator_client.post(url("host-return-start"), {"mark": mark(page)})
        job = Job.objects.get(kind="host.return")
        assert answer["Location"] == reverse("job", args=[job.pk])
        kvm1.refresh_from_db()
        assert (kvm1.maintenance, kvm1.is_closed) == ("returning", False)
        assert record.guests.get(returning=True).outcome == "planned"

    def test_a_return_whose_plan_has_changed_does_not_begin(self, web1: Domain, operator_client: Client) -> None:
        old = mark(shown(operator_client, "host-return"))
        Domain.objects.filter(pk=web1.pk).update(state="shut_off")
        answer = operator_client.post(url("host-return-start"), {"mark": old})
        assert answer.status_code == 409
        assert "It ran when the host was drained, and is off now." in answer.content.decode()
        assert not Job.objects.exists()

    def test_it_ends_without_bringing_anything_back(
        self, record: Drain, kvm1: Host, kvm2: Host, web1: Domain, operator_client: Client
    ) -> None:
        page = operator_client.post(url("host-maintenance-end"), follow=True).content.decode()
        assert "kvm1 is in use again. Its guests were not brought back." in page
        record.refresh_from_db()
        assert record.ended_at is not None
        assert Domain.objects.get(pk=web1.pk).host == kvm2
        assert "kvm1 is not in maintenance" in operator_client.get(url("host-return"), follow=True).content.decode()

    def test_a_queued_move_to_it_does_not_arrive(self, kvm1: Host) -> None:
        """Asked for before: see `domains.migration.job.run`."""
        from domains.migration import job as migration
        from vmdash.jobs.context import JobContext

        guest = DomainFactory.create(name="late", host=HostFactory.create(name="kvm3"))
        queued = Job.objects.create(
            kind="domain.migrate", label="Move late to kvm1", target_kind="domain", target_id=str(guest.pk),
            target_name="late", state="running",
            parameters={"source": guest.host_id, "target": kvm1.pk, "options": {}},
        )  # fmt: skip
        with pytest.raises(Conflict, match="kvm1 is in maintenance"):
            migration.run(JobContext(queued, time_limit_s=10))

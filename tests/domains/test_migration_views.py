"""Who may move guests, and what the page says to them."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from domains.migration import orders
from domains.migration.job import MIGRATE
from domains.models import Domain, Migration
from hosts.models import Host
from tests.factories import DomainFactory, HostFactory, JobFactory
from vmdash.access.models import AuditEntry
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

FIGURES: dict[str, Any] = {
    "rounds": 4, "dirty_bytes_per_s": 120 << 20, "rate_bytes_per_s": 32 << 20, "remaining_bytes": 400 << 20,
    "disk_remaining_bytes": 0, "expected_downtime_ms": 12_500, "max_downtime_ms": 300, "throttle_percent": 20,
    "post_copy_allowed": False, "in_post_copy": False, "stalled": "The guest writes faster than that.",
}  # fmt: skip


@pytest.fixture
def kvm2() -> Host:
    return HostFactory.create(name="kvm2")


@pytest.fixture
def guest(kvm2: Host) -> Domain:
    return DomainFactory.create(name="web1", host=HostFactory.create(name="kvm1"))


def moving(guest: Domain, **fields: Any) -> Job:
    job: Job = JobFactory.create(
        kind=MIGRATE.name,
        label="Move web1 to kvm2",
        target_kind="domain",
        target_id=str(guest.pk),
        target_name="web1",
        **{"state": "running", "exclusive": True, "figures": FIGURES, **fields},
    )
    return job


def url(guest: Domain, what: str = "") -> str:
    return reverse(f"guest-migrate{what}", args=[guest.pk])


def ask(client: Client, guest: Domain, target: Host, **fields: Any) -> Any:
    return client.post(
        url(guest, "-start"),
        {"target": target.pk, "auto_converge": "on", "persistent": "on", **fields},
        headers={"Accept": "application/json"},
    )


class TestWhoMay:
    @pytest.mark.parametrize("what", ["", "-check", "-start", "-order"])
    def test_those_who_may_not_move_guests_are_turned_away(
        self, what: str, guest: Domain, anonymous_client: Client, viewer_client: Client, help_desk_client: Client
    ) -> None:
        for client, status in ((anonymous_client, 302), (viewer_client, 403), (help_desk_client, 403)):
            answer = client.post(url(guest, what)) if what else client.get(url(guest))
            assert answer.status_code == status
        assert not Job.objects.exists()

    def test_an_operator_finds_the_page_from_the_guests(self, guest: Domain, operator_client: Client) -> None:
        assert url(guest) in operator_client.get(reverse("guest", args=[guest.pk])).content.decode()
        assert "Move to kvm2" in operator_client.get(url(guest)).content.decode()

    def test_a_viewer_is_not_offered_it(self, guest: Domain, viewer_client: Client) -> None:
        assert url(guest) not in viewer_client.get(reverse("guest", args=[guest.pk])).content.decode()


class TestAsking:
    def test_it_becomes_a_job_with_its_options_and_command(
        self, guest: Domain, kvm2: Host, operator_client: Client
    ) -> None:
        answer = ask(operator_client, guest, kvm2, bandwidth_mib_s="50", compress="on")
        assert answer.status_code == 202
        job = Job.objects.get(pk=answer.json()["job"]["id"])
        assert (job.kind, job.label, job.exclusive) == ("domain.migrate", "Move web1 to kvm2", True)
        assert job.parameters["options"]["bandwidth_mib_s"] == 50
        assert "migrate --live --p2p --persistent --undefinesource --auto-converge --compressed" in job.virsh
        assert AuditEntry.objects.get(action="domain.migrate").target_name == "web1"

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"parallel": "4", "post_copy": "on"}, "QEMU 10.1"),
            ({"parallel": "4", "compress": "on"}, "compression"),
            ({"bandwidth_mib_s": "-1"}, "greater"),
            ({"data_uri": "exec:rm -rf"}, "tcp://ADDRESS"),
        ],
    )
    def test_options_that_do_not_go_together_are_refused(
        self, fields: dict[str, str], words: str, guest: Domain, kvm2: Host, operator_client: Client
    ) -> None:
        answer = ask(operator_client, guest, kvm2, **fields)
        assert answer.status_code == 400
        assert words in answer.json()["hint"]

    def test_it_cannot_move_to_where_it_is(self, guest: Domain, operator_client: Client) -> None:
        answer = ask(operator_client, guest, guest.host)
        assert (answer.status_code, answer.json()["error"]) == (409, "Cannot move web1 to kvm1: it is on kvm1 already.")

    def test_nor_to_a_host_that_does_not_answer(self, guest: Domain, kvm2: Host, operator_client: Client) -> None:
        Host.objects.filter(pk=kvm2.pk).update(state="unreachable")
        answer = ask(operator_client, guest, kvm2)
        assert (answer.status_code, answer.json()["error"]) == (409, "Cannot move web1 to kvm2: kvm2 does not answer.")

    def test_nor_when_it_runs_twice(self, guest: Domain, kvm2: Host, operator_client: Client) -> None:
        Domain.objects.update(split_brain=True)
        assert "two hosts at once" in ask(operator_client, guest, kvm2).json()["error"]

    def test_nor_twice_at_once(self, guest: Domain, kvm2: Host, operator_client: Client) -> None:
        moving(guest)
        assert "web1 is busy" in ask(operator_client, guest, kvm2).json()["error"]

    def test_all_hosts_are_checked(self, guest: Domain, kvm2: Host, operator_client: Client) -> None:
        operator_client.post(url(guest, "-check"))
        assert Job.objects.get(kind="domain.migrate_check").parameters["targets"] == [kvm2.pk]


class TestThePage:
    def test_check_lists_are_shown_with_their_remedies(
        self, guest: Domain, kvm2: Host, operator_client: Client
    ) -> None:
        lines = [
            {"subject": "CPU", "level": "passed", "words": "It has all.", "remedy": ""},
            {"subject": "Memory", "level": "failed", "words": "Too little.", "remedy": "Stop another guest."},
        ]
        JobFactory.create(
            kind="domain.migrate_check",
            target_kind="domain",
            target_id=str(guest.pk),
            state="succeeded",
            parameters={"source": guest.host_id, "targets": [kvm2.pk]},
            result={"targets": {str(kvm2.pk): {"verdict": "failed", "lines": lines, "disks": []}}},
        )
        page = operator_client.get(url(guest)).content.decode()
        assert page.index("Too little.") < page.index("It has all.")
        assert "Stop another guest." in page
        assert "1 in the way, 1 passed" in page
        assert f'value="{kvm2.pk}" disabled' in page

    def test_a_move_that_stalls_says_why_and_offers_the_ways_out(self, guest: Domain, operator_client: Client) -> None:
        job = moving(guest)
        for address in (url(guest), reverse("job", args=[job.pk])):
            page = operator_client.get(address).content.decode()
            assert "It does not get on." in page
            assert "The guest writes faster than that." in page
            assert "120 MiB/s" in page
            assert "May stand still for 500 ms" in page
            assert "It was not allowed at the start" in page

    def test_past_moves_stay_with_the_guest(self, guest: Domain, operator_client: Client) -> None:
        job = moving(guest, state="succeeded")
        Migration.objects.create(
            domain=guest, job=job, source_name="kvm9", target_name="kvm1", how="live", outcome="moved",
            started_at=job.created_at, duration_ms=1840, downtime_ms=83, transferred_bytes=90 << 20, rounds=3,
        )  # fmt: skip
        for address in (url(guest), reverse("guest-tab", args=[guest.pk, "history"])):
            page = operator_client.get(address).content.decode()
            assert "kvm9" in page
            assert "83 ms" in page
            assert "1.8 s" in page


class TestOrders:
    def give(self, client: Client, guest: Domain, job: Job, order: str, amount: int = 0) -> str:
        answer = client.post(url(guest, "-order"), {"job": job.pk, "order": order, "amount": amount}, follow=True)
        return answer.content.decode()

    def test_an_order_waits_for_the_worker_and_is_audited(self, guest: Domain, operator_client: Client) -> None:
        job = moving(guest)
        self.give(operator_client, guest, job, "downtime", 3000)
        assert orders.take(job.pk) == orders.Order("downtime", 3000, "operator")
        assert orders.take(job.pk) is None
        entry = AuditEntry.objects.get(action="domain.migrate.downtime")
        assert entry.detail == "Move web1 to kvm2: It may stand still for 3000 ms"

    def test_one_that_has_ended_takes_none(self, guest: Domain, operator_client: Client) -> None:
        job = moving(guest, state="succeeded")
        assert "cannot be changed any more" in self.give(operator_client, guest, job, "pause")
        assert orders.take(job.pk) is None

    def test_what_is_too_much_is_refused(self, guest: Domain, operator_client: Client) -> None:
        job = moving(guest)
        assert "Give a number from 1 to 600000" in self.give(operator_client, guest, job, "downtime", 10**8)
        assert orders.take(job.pk) is None


def test_a_host_that_was_chosen_elsewhere_comes_first_and_stays_chosen(
    operator_client: Client, guest: Domain, kvm2: Host
) -> None:
    HostFactory.create(name="kvm3")
    HostFactory.create(name="kvm4")
    page = operator_client.get(url(guest), {"target": "kvm4"})
    assert next(iter(page.context["page"].cards)).host.name == "kvm4"
    checked: Any = operator_client.post(f"{url(guest, '-check')}?target=kvm4")
    assert checked.url == f"{url(guest)}?target=kvm4"


def test_a_chosen_host_that_it_cannot_move_to_is_said(operator_client: Client, guest: Domain) -> None:
    page = operator_client.get(url(guest), {"target": "kvm1<b>"})
    assert "kvm1&lt;b&gt; is not among the hosts" in page.content.decode()

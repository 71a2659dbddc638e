"""The pages about a guest's snapshots: who sees them, what they say, what they ask for."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from domains.models import Domain
from domains.snapshots.models import Snapshot
from hosts.models import Host
from tests.factories import DomainFactory, JobFactory, SnapshotFactory
from tests.queries import queries_of
from vmdash.access.models import AuditEntry
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

PEOPLE = [("anonymous", 302), ("nobody", 403), ("viewer", 403), ("help_desk", 403), ("operator", 200)]


def disk(**values: object) -> dict[str, object]:
    usual = {
        "target": "vda", "bus": "virtio", "device": "disk", "source": "/images/web1.qcow2", "format": "qcow2",
        "readonly": False, "backing": ["/images/base.qcow2"],
    }  # fmt: skip
    return usual | values


@pytest.fixture
def web1() -> Domain:
    return DomainFactory.create(name="web1", disks=[disk()], agent="connected")


@pytest.fixture
def snapshot(web1: Domain) -> Snapshot:
    return SnapshotFactory.create(domain=web1, name="before-update", current=True)


def url(domain: Domain, what: str = "") -> str:
    return f"/domains/{domain.pk}/snapshots/{what}"


def tab(client: Client, domain: Domain) -> str:
    answer = client.get(url(domain))
    assert answer.status_code == 200
    return answer.content.decode()


def post(client: Client, address: str, **fields: Any) -> tuple[int, str]:
    answer = client.post(address, fields)
    return answer.status_code, answer.content.decode()


class TestWhoMay:
    @pytest.mark.parametrize(("who", "status"), PEOPLE)
    def test_change_snapshots(
        self, who: str, status: int, web1: Domain, snapshot: Snapshot, request: pytest.FixtureRequest
    ) -> None:
        client = request.getfixturevalue(f"{who}_client")
        for what in ("take/", "flatten/", f"{snapshot.pk}/revert/", f"{snapshot.pk}/delete/"):
            assert client.get(url(web1, what)).status_code == status
            if status != 200:
                fields = {"do": "take", "kind": "disks", "confirm": "web1"}
                assert client.post(url(web1, what), fields).status_code == status
        assert not Job.objects.exists()

    @pytest.mark.parametrize("who", ["viewer", "help_desk"])
    def test_see_them_without_buttons(
        self, who: str, web1: Domain, snapshot: Snapshot, request: pytest.FixtureRequest
    ) -> None:
        page = tab(request.getfixturevalue(f"{who}_client"), web1)
        assert "before-update" in page
        for words in ("Take a snapshot", "Revert", "Delete", "Flatten", "Schedule…"):
            assert words not in page

    def test_strangers_do_not(self, web1: Domain, anonymous_client: Client, nobody_client: Client) -> None:
        assert anonymous_client.get(url(web1)).status_code == 302
        assert nobody_client.get(url(web1)).status_code == 403

    def test_what_is_not_there_is_not_found(self, web1: Domain, snapshot: Snapshot, operator_client: Client) -> None:
        other = DomainFactory.create()
        for address in (url(other, f"{snapshot.pk}/revert/"), url(web1, "99999999999999999999/delete/")):
            assert operator_client.get(address).status_code == 404
        Domain.objects.filter(pk=web1.pk).update(gone_at=timezone.now())
        assert operator_client.get(url(web1, f"{snapshot.pk}/delete/")).status_code == 404


class TestTheTree:
    def test_an_operator_sees_what_each_one_is(self, web1: Domain, snapshot: Snapshot, operator_client: Client) -> None:
        Snapshot.objects.update(quiesced=False, not_quiesced_because="The agent said no.", size_bytes=5 << 20)
        SnapshotFactory.create(
            domain=web1, name="later", parent_name="before-update", half_merged=True, memory=True, quiesced=None
        )
        page = tab(operator_client, web1)
        assert page.index("before-update") < page.index("later")
        for words in (
            "you are here", "disks only, external", "whole machine, external", "5 MiB",
            "not frozen. The agent said no.", "Half merged", "depth-1",
            "It can only be deleted.",
        ):  # fmt: skip
            assert words in page
        assert page.count("you are here") == 1
        assert url(web1, f"{snapshot.pk}/revert/") in page

    def test_without_any_it_says_what_they_are_good_for(self, web1: Domain, operator_client: Client) -> None:
        assert "No snapshots" in tab(operator_client, web1)
        assert "No schedule takes snapshots of this guest" in tab(operator_client, web1)

    def test_jobs_about_snapshots_show_how_far_they_are(self, web1: Domain, operator_client: Client) -> None:
        JobFactory.create(
            domain=web1, kind="snapshot.delete", label="Delete snapshot x", state="running", progress_percent=37,
            phase="Merging what was written since",
        )  # fmt: skip
        page = tab(operator_client, web1)
        for words in ("Delete snapshot x", "37 %", "Merging what was written since", "Cancel Delete snapshot x"):
            assert words in page

    def test_the_newest_one_if_it_failed(self, web1: Domain, operator_client: Client) -> None:
        JobFactory.create(domain=web1, kind="snapshot.create", state="failed", error="The pool is full.")
        assert "The pool is full." in tab(operator_client, web1)
        JobFactory.create(domain=web1, kind="snapshot.create", state="succeeded")
        assert "The pool is full." not in tab(operator_client, web1)

    def test_why_nothing_can_be_done(self, web1: Domain, snapshot: Snapshot, operator_client: Client) -> None:
        Host.objects.update(state=Host.State.UNREACHABLE)
        page = tab(operator_client, web1)
        assert "does not answer" in page
        for what in ("take/", "flatten/", f"{snapshot.pk}/revert/", f"{snapshot.pk}/delete/"):
            assert url(web1, what) not in page

    def test_its_queries_do_not_grow_with_their_number(self, web1: Domain, operator_client: Client) -> None:
        SnapshotFactory.create(domain=web1)
        few = queries_of(lambda: tab(operator_client, web1))
        SnapshotFactory.create_batch(20, domain=web1)
        assert queries_of(lambda: tab(operator_client, web1)) == few


class TestTaking:
    def test_the_form_explains_the_kinds_and_shows_the_name(self, web1: Domain, operator_client: Client) -> None:
        page = operator_client.get(url(web1, "take/")).content.decode()
        for words in ("Taken in a moment", "its memory is written to a file", "No new files", "web1-2"):
            assert words in page
        status, page = post(operator_client, url(web1, "take/"), kind="disks", note="vor dem Update!", quiesce="on")
        assert (status, "-vor-dem-Update<" in page) == (200, True)
        assert not Job.objects.exists()

    def test_it_becomes_a_job(self, web1: Domain, operator_client: Client) -> None:
        fields = {"do": "take", "kind": "disks", "note": "update", "quiesce": "on"}
        answer = operator_client.post(url(web1, "take/"), fields)
        assert answer.headers["Location"] == url(web1)
        job = Job.objects.get()
        assert (job.kind, job.requested_by_name, job.parameters["quiesce"]) == ("snapshot.create", "operator", True)
        assert job.parameters["name"].endswith("-update")
        assert AuditEntry.objects.get(action="snapshot.create").target_name == "web1"
        operator_client.post(url(web1, "take/"), {"do": "take", "kind": "disks"})
        assert Job.objects.count() == 1

    def test_not_quiesced_when_it_is_not_wanted(self, web1: Domain, operator_client: Client) -> None:
        operator_client.post(url(web1, "take/"), {"do": "take", "kind": "disks"})
        assert Job.objects.get().parameters["quiesce"] is False

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"agent": "none"}, "no channel for a guest agent"),
            ({"agent": "disconnected"}, "agent does not run in the guest"),
            ({"agent": "silent"}, "agent does not answer"),
            ({"state": "paused"}, "its agent cannot answer"),
            ({"state": "shut_off"}, "its file systems are at rest"),
        ],
    )
    def test_why_file_systems_cannot_be_frozen(
        self, fields: dict[str, str], said: str, web1: Domain, operator_client: Client
    ) -> None:
        Domain.objects.update(**fields)
        page = operator_client.get(url(web1, "take/")).content.decode()
        assert said in page
        assert 'name="quiesce" disabled' in page.replace('id="id_quiesce" ', "").replace(
            'aria-describedby="id_quiesce_helptext" ', ""
        )

    @pytest.mark.parametrize(
        ("fields", "status", "said"),
        [
            ({"kind": "nonsense"}, 400, "Select a valid choice"),
            ({}, 400, "This field is required"),
            ({"kind": "disks", "note": "x" * 501}, 400, "at most 500"),
            ({"kind": "disks", "note": "a\x07b"}, 400, "one line of plain text"),
            ({"kind": "internal"}, 409, "Only qcow2 images can hold it"),
        ],
    )
    def test_what_is_refused_changes_nothing(
        self, fields: dict[str, str], status: int, said: str, web1: Domain, operator_client: Client
    ) -> None:
        Domain.objects.update(disks=[disk(format="raw")])
        answered, page = post(operator_client, url(web1, "take/"), do="take", **fields)
        assert (answered, said in page) == (status, True)
        assert not Job.objects.exists()

    def test_a_busy_guest_is_told_of_on_the_form(self, web1: Domain, operator_client: Client) -> None:
        JobFactory.create(domain=web1, label="Start web1")
        status, page = post(operator_client, url(web1, "take/"), do="take", kind="disks")
        assert (status, "web1 is busy: “Start web1”" in page) == (409, True)


class TestReverting:
    def test_it_says_what_is_lost_and_needs_the_name(
        self, web1: Domain, snapshot: Snapshot, operator_client: Client
    ) -> None:
        SnapshotFactory.create(domain=web1, name="later", parent_name=snapshot.name)
        address = url(web1, f"{snapshot.pk}/revert/")
        page = operator_client.get(address).content.decode()
        for words in ("What the guest has written since then is lost", "vda", "power cut", "later", "type the name"):
            assert words in page
        for confirm in ("", "web2"):
            status, page = post(operator_client, address, confirm=confirm)
            assert (status, "To revert web1, type its name." in page) == (400, True)
        assert not Job.objects.exists()
        answer = operator_client.post(address, {"confirm": "web1", "afterwards": "paused", "keep": "on"})
        assert answer.headers["Location"] == url(web1)
        job = Job.objects.get()
        assert (job.kind, job.parameters["running"], job.parameters["keep"]) == ("snapshot.revert", False, True)

    def test_first_keeps_what_it_is_now(self, web1: Domain, snapshot: Snapshot, operator_client: Client) -> None:
        operator_client.post(url(web1, f"{snapshot.pk}/revert/"), {"confirm": "web1", "first": "on"})
        assert Job.objects.get().parameters["first"]["name"].endswith("before-revert")

    def test_what_cannot_be_is_said(self, web1: Domain, snapshot: Snapshot, operator_client: Client) -> None:
        Snapshot.objects.update(half_merged=True)
        address = url(web1, f"{snapshot.pk}/revert/")
        assert "It is half merged" in operator_client.get(address).content.decode()
        status, page = post(operator_client, address, confirm="web1")
        assert (status, "it is half merged" in page) == (409, True)
        Snapshot.objects.update(half_merged=False)
        assert post(operator_client, address, confirm="web1", afterwards="nonsense")[0] == 400
        JobFactory.create(domain=web1, label="Start web1")
        status, page = post(operator_client, address, confirm="web1")
        assert (status, "web1 is busy" in page) == (409, True)


class TestDeleting:
    @pytest.mark.parametrize(
        ("state", "external", "said"),
        [
            ("running", True, "live block commit"),
            ("shut_off", True, "The guest stays off meanwhile"),
            ("running", False, "inside of the disk images"),
        ],
    )
    def test_it_says_how(
        self, state: str, external: bool, said: str, web1: Domain, snapshot: Snapshot, operator_client: Client
    ) -> None:
        Domain.objects.update(state=state)
        Snapshot.objects.update(external=external, internal=not external)
        SnapshotFactory.create(domain=web1, name="later", parent_name=snapshot.name)
        page = operator_client.get(url(web1, f"{snapshot.pk}/delete/")).content.decode()
        assert said in page
        assert "1 snapshot that came after it stays" in page

    def test_it_becomes_a_job(self, web1: Domain, snapshot: Snapshot, operator_client: Client) -> None:
        answer = operator_client.post(url(web1, f"{snapshot.pk}/delete/"), {"most_mib_s": "10"})
        assert answer.headers["Location"] == url(web1)
        job = Job.objects.get()
        assert job.parameters == {"snapshot": "before-update", "how": "merge", "most_bytes_per_s": 10 << 20}

    def test_or_is_only_forgotten(self, web1: Domain, snapshot: Snapshot, operator_client: Client) -> None:
        operator_client.post(url(web1, f"{snapshot.pk}/delete/"), {"forget": "on"})
        assert Job.objects.get().parameters["how"] == "forget"

    def test_what_is_refused(self, web1: Domain, snapshot: Snapshot, operator_client: Client) -> None:
        address = url(web1, f"{snapshot.pk}/delete/")
        assert post(operator_client, address, most_mib_s="-1")[0] == 400
        Host.objects.update(enabled=False)
        status, page = post(operator_client, address)
        assert (status, "is disabled" in page) == (409, True)
        assert not Job.objects.exists()


class TestFlattening:
    def test_it_says_what_is_copied_and_becomes_a_job(self, web1: Domain, operator_client: Client) -> None:
        page = operator_client.get(url(web1, "flatten/")).content.decode()
        assert "/images/base.qcow2" in page
        operator_client.post(url(web1, "flatten/"), {"most_mib_s": "3"})
        job = Job.objects.get()
        assert (job.kind, job.parameters) == ("snapshot.merge", {"disks": ["vda"], "most_bytes_per_s": 3 << 20})

    def test_not_while_it_is_off(self, web1: Domain, operator_client: Client) -> None:
        Domain.objects.update(state="shut_off")
        status, page = post(operator_client, url(web1, "flatten/"))
        assert (status, "it is off. Start it first." in page) == (409, True)
        assert url(web1, "flatten/") not in tab(operator_client, web1)

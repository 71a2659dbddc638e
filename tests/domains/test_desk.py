"""The help desk's page."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.utils import timezone

from domains.models import Domain, DomainState
from hosts.models import Host
from tests.factories import DomainFactory, HostFactory, JobFactory, UserFactory
from tests.queries import queries_of
from vmdash.access.models import AuditEntry, Grant
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db


@pytest.fixture
def host() -> Host:
    return HostFactory.create(name="kvm1", state=Host.State.UP, last_seen_at=timezone.now())


@pytest.fixture
def web1(host: Host) -> Domain:
    return DomainFactory.create(name="web1", host=host, state=DomainState.RUNNING)


def desk(client: Client, text: str = "") -> str:
    answer = client.get("/desk/", {"q": text} if text else {})
    assert answer.status_code == 200
    return answer.content.decode()


def names(page: str) -> list[str]:
    return re.findall(r'<h2 id="name-[^"]+"><a [^>]+>([^<]+)<', page)


def buttons(page: str, guest: Domain) -> set[str]:
    return set(re.findall(rf"/desk/{guest.pk}/([a-z]+)/", page))


class TestWhoMayComeIn:
    def test_strangers_viewers_and_those_without_a_grant_are_sent_away(
        self, anonymous_client: Client, nobody_client: Client, viewer_client: Client, web1: Domain
    ) -> None:
        for path in ("/desk/", f"/desk/{web1.pk}/shutdown/"):
            assert anonymous_client.get(path).status_code == 302
            assert nobody_client.get(path).status_code == 403
            assert viewer_client.get(path).status_code == 403
        assert viewer_client.post(f"/desk/{web1.pk}/shutdown/").status_code == 403
        assert not Job.objects.exists()

    def test_the_navigation_shows_it_to_those_who_may(self, viewer_client: Client, help_desk_client: Client) -> None:
        assert 'href="/desk/"' not in viewer_client.get("/").content.decode()
        assert 'href="/desk/"' in help_desk_client.get("/").content.decode()

    def test_guests_of_others_are_not_found_nor_counted(self, web1: Domain) -> None:
        other = DomainFactory.create(name="web2", host=web1.host, state=DomainState.RUNNING)
        person = UserFactory.create(role="")
        Grant.objects.create(person=person, role=Role.HELP_DESK, scope=Scope.GUEST, scope_id=str(web1.pk))
        client = Client()
        client.force_login(person)
        assert names(desk(client)) == names(desk(client, "web")) == ["web1"]
        assert client.get(f"/desk/{other.pk}/shutdown/").status_code == 404
        assert client.post(f"/desk/{other.pk}/shutdown/").status_code == 404
        assert not Job.objects.exists()


class TestFinding:
    @pytest.mark.parametrize("text", ["web1", "10.0.0.7", "Lena", "shop", "owner:lena*"])
    def test_by_name_address_owner_and_note(self, help_desk_client: Client, host: Host, text: str) -> None:
        DomainFactory.create(
            name="web1", host=host, addresses=["10.0.0.7"], owner="Lena Roth", note="The shop needs it."
        )
        DomainFactory.create(name="db1", host=host, addresses=["10.0.0.8"])
        assert names(desk(help_desk_client, text)) == ["web1"]

    def test_many_are_cut_and_said_to_be(self, help_desk_client: Client, host: Host) -> None:
        for number in range(25):
            DomainFactory.create(name=f"ci-{number:02}", host=host)
        page = desk(help_desk_client, "ci")
        assert len(names(page)) == 20
        assert "25 guests match" in page

    def test_more_guests_take_no_more_queries(self, help_desk_client: Client, host: Host) -> None:
        DomainFactory.create(host=host)
        desk(help_desk_client)
        few = queries_of(lambda: desk(help_desk_client))
        for _ in range(10):
            DomainFactory.create(host=host)
        assert queries_of(lambda: desk(help_desk_client)) == few

    def test_nor_for_somebody_who_may_in_some_places(self, host: Host) -> None:
        person = UserFactory.create(role="")
        Grant.objects.create(person=person, role=Role.HELP_DESK, scope=Scope.HOST, scope_id=str(host.pk))
        client = Client()
        client.force_login(person)
        DomainFactory.create(host=host)
        desk(client)
        few = queries_of(lambda: desk(client))
        for _ in range(10):
            DomainFactory.create(host=host)
        assert queries_of(lambda: desk(client)) == few

    def test_nothing_found_and_nothing_understood_are_said(self, help_desk_client: Client) -> None:
        assert "matches “nothing”" in desk(help_desk_client, "nothing")
        answer = help_desk_client.get("/desk/", {"q": "state:flying"})
        assert answer.status_code == 400
        assert "flying" in answer.content.decode()


class TestStateInPlainWords:
    def test_of_a_host_that_does_not_answer_it_is_not_known(self, help_desk_client: Client, web1: Domain) -> None:
        Host.objects.update(state=Host.State.UNREACHABLE)
        page = desk(help_desk_client)
        assert "Not known: its host kvm1 does not answer" in page
        assert buttons(page, web1) == set()

    @pytest.mark.parametrize(
        ("agent", "words"),
        [
            (Domain.Agent.CONNECTED, "It answers."),
            (Domain.Agent.SILENT, "It does not answer"),
            (Domain.Agent.NONE, "Whether it answers is not known"),
        ],
    )
    def test_whether_it_answers(self, help_desk_client: Client, web1: Domain, agent: str, words: str) -> None:
        Domain.objects.update(agent=agent)
        assert words in desk(help_desk_client)

    def test_who_is_logged_in(self, help_desk_client: Client, web1: Domain) -> None:
        assert "Who is logged in is not known" in desk(help_desk_client)
        Domain.objects.update(logged_in=[])
        assert "Nobody was logged in within the last 5 minutes" in desk(help_desk_client)
        Domain.objects.update(logged_in=[{"name": "anna", "since": None}, {"name": "ben", "since": None}])
        assert "Logged in within the last 5 minutes: anna, ben." in desk(help_desk_client)

    def test_a_guest_that_is_off_says_nothing_of_the_kind(self, help_desk_client: Client, web1: Domain) -> None:
        Domain.objects.update(state=DomainState.SHUT_OFF, logged_in=[{"name": "anna", "since": None}])
        page = desk(help_desk_client)
        assert "<b>Off</b>" in page
        assert "anna" not in page
        assert buttons(page, web1) == {"start"}


class TestActing:
    def test_start_at_once(self, help_desk_client: Client, web1: Domain) -> None:
        Domain.objects.update(state=DomainState.SHUT_OFF)
        answer = help_desk_client.post(f"/desk/{web1.pk}/start/", follow=True)
        assert Job.objects.get().kind == "domain.start"
        assert names(answer.content.decode()) == ["web1"]

    def test_before_a_stop_it_says_who_is_hurt(self, help_desk_client: Client, web1: Domain) -> None:
        Domain.objects.update(logged_in=[{"name": "anna", "since": None}], owner="Lena", note="The shop needs it.")
        page = help_desk_client.get(f"/desk/{web1.pk}/shutdown/").content.decode()
        for words in ("minutes: anna. Tell them first", "<b>Lena</b>: The shop needs it."):
            assert words in page
        assert not Job.objects.exists()
        help_desk_client.post(f"/desk/{web1.pk}/shutdown/")
        assert Job.objects.get().kind == "domain.shutdown"

    def test_a_job_under_way_is_said_and_in_the_way(self, help_desk_client: Client, web1: Domain) -> None:
        JobFactory.create(kind="domain.reboot", target_kind="domain", target_id=str(web1.pk), exclusive=True)
        assert "Rebooting" in help_desk_client.get(f"/desk/{web1.pk}/shutdown/").content.decode()
        answer = help_desk_client.post(f"/desk/{web1.pk}/shutdown/", follow=True)
        assert Job.objects.count() == 1
        assert 'class="note bad' in answer.content.decode()

    def test_forcing_off_only_where_the_role_allows_it(
        self, help_desk_client: Client, operator_client: Client, web1: Domain
    ) -> None:
        assert "Force off" not in help_desk_client.get(f"/desk/{web1.pk}/shutdown/").content.decode()
        assert "Force off" in operator_client.get(f"/desk/{web1.pk}/shutdown/").content.decode()
        assert operator_client.get(f"/desk/{web1.pk}/force_off/").status_code == 404

    def test_what_is_not_possible_is_explained_and_not_offered(self, help_desk_client: Client, web1: Domain) -> None:
        Domain.objects.update(state=DomainState.SHUT_OFF)
        page = help_desk_client.get(f"/desk/{web1.pk}/shutdown/").content.decode()
        assert "It is off already." in page
        assert "Leave it as it is" not in page


class TestOwnerAndNote:
    def test_operators_write_them(self, operator_client: Client, web1: Domain) -> None:
        answer = operator_client.post(f"/domains/{web1.pk}/note/", {"owner": "Lena", "note": "Ask her."}, follow=True)
        assert answer.status_code == 200
        web1.refresh_from_db()
        assert (web1.owner, web1.note) == ("Lena", "Ask her.")
        assert AuditEntry.objects.get().action == "domain.note"

    def test_the_help_desk_does_not(self, help_desk_client: Client, web1: Domain) -> None:
        assert help_desk_client.post(f"/domains/{web1.pk}/note/", {"owner": "me"}).status_code == 403
        web1.refresh_from_db()
        assert web1.owner == ""

    def test_what_is_too_long_is_refused_and_changes_nothing(self, operator_client: Client, web1: Domain) -> None:
        answer = operator_client.post(f"/domains/{web1.pk}/note/", {"owner": "L" * 121, "note": "x"})
        assert answer.status_code == 400
        assert "at most 120" in answer.content.decode()
        web1.refresh_from_db()
        assert (web1.owner, web1.note) == ("", "")

"""The pages about people, groups and grants."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from domains.models import Domain
from hosts.models import Site
from tests.api.caller import Caller
from tests.factories import PASSWORD, DomainFactory, HostFactory, PoolFactory, UserFactory
from tests.queries import queries_of
from vmdash.access.models import AuditEntry, Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Permission, Role, can
from vmdash.api.models import Token
from vmdash.main.people import views

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

pytestmark = pytest.mark.django_db


@pytest.fixture
def nora() -> User:
    return UserFactory.create(username="nora", first_name="Nora", last_name="Ek", email="nora@example.org", role="")


@pytest.fixture
def web1() -> Domain:
    return DomainFactory.create(
        name="web1", host=HostFactory.create(name="kvm1", site=Site.objects.create(name="Zürich"))
    )


@pytest.fixture
def lead_client(web1: Domain, client_of: Callable[[User], Client]) -> Client:
    """Of somebody who administers the site of `web1` alone."""
    person = UserFactory.create(username="lead", role="")
    Grant.objects.create(person=person, role=Role.ADMINISTRATOR, scope=Scope.SITE, scope_id=str(web1.host.site_id))
    return client_of(person)


def text(response: Response) -> str:
    """What a page says, in words."""
    bare = re.sub(r"<[^>]+>", " ", response.content.decode().split('id="main"')[-1])
    return re.sub(r"\s+", " ", bare)


def grant_to(person: User, thing: Domain | None, role: Role = Role.HELP_DESK) -> Grant:
    on = {"scope": Scope.GUEST, "scope_id": str(thing.pk), "scope_name": thing.name} if thing else {}
    return Grant.objects.create(person=person, role=role, **(on or {"scope": Scope.EVERYTHING}))


@pytest.mark.parametrize(
    "address", ["/people/", "/people/roles/", "/people/grants/give/", "/people/groups/", "/people/add/"]
)
@pytest.mark.parametrize("who", ["nobody", "viewer", "help_desk", "operator"])
def test_for_administrators_alone(
    request: pytest.FixtureRequest, client_of: Callable[[User], Client], who: str, address: str
) -> None:
    assert client_of(request.getfixturevalue(who)).get(address).status_code == 403


class TestTheList:
    def test_names_groups_roles_in_words_and_the_last_sign_in(
        self, administrator_client: Client, nora: User, web1: Domain
    ) -> None:
        nora.groups.add(Group.objects.create(name="desk"))
        grant_to(nora, web1)
        UserFactory.create(username="gone", is_active=False)
        said = text(administrator_client.get("/people/"))
        for words in ("nora Nora Ek Help desk on guest web1 desk never", "Administrator on everything", "switched off"):
            assert words in said

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ({"q": "EK"}, ["nora"]),
            ({"q": "example.org"}, ["nora"]),
            ({"q": "desk"}, ["olaf"]),
            ({"state": "off"}, ["gone"]),
            ({"state": "on", "sort": "-name"}, ["olaf", "nora", "admin"]),
            ({"sort": "-seen"}, ["admin", "gone", "nora", "olaf"]),
            ({"q": "nobody like that"}, []),
        ],
    )
    def test_search_and_order(
        self, administrator_client: Client, nora: User, query: dict[str, str], names: list[str]
    ) -> None:
        UserFactory.create(username="gone", is_active=False)
        UserFactory.create(username="olaf").groups.add(Group.objects.create(name="Desk"))
        page = administrator_client.get("/people/", query)
        assert [row.person.username for row in page.context["rows"]] == names
        assert names or "Nobody matches" in text(page)

    def test_a_search_that_makes_no_sense_is_refused(self, administrator_client: Client) -> None:
        assert administrator_client.get("/people/?sort=shoe-size").status_code == 400

    def test_pages(self, administrator_client: Client, nora: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(views, "PAGE_SIZE", 1)
        assert len(administrator_client.get("/people/?page=2").context["rows"]) == 1

    @pytest.mark.parametrize("sees", ["everybody", "some"])
    def test_queries_do_not_grow_with_people(
        self, administrator_client: Client, lead_client: Client, web1: Domain, sees: str
    ) -> None:
        client = administrator_client if sees == "everybody" else lead_client

        def add() -> None:
            person = UserFactory.create()
            group = Group.objects.create(name=f"of {person.username}")
            person.groups.add(group)
            grant_to(person, web1)
            Grant.objects.create(group=group, role=Role.VIEWER, scope=Scope.HOST, scope_id=str(web1.host_id))

        add()
        few = queries_of(lambda: client.get("/people/"))
        for _ in range(5):
            add()
        assert queries_of(lambda: client.get("/people/")) == few


class TestGrants:
    def test_one_is_given_and_ended_on_the_page_of_a_person(
        self, administrator_client: Client, administrator: User, nora: User, web1: Domain
    ) -> None:
        until = timezone.localtime() + timedelta(days=2)
        form = {
            "person": "nora",
            "role": "operator",
            "scope": "guest",
            "thing": "web1",
            "until": f"{until:%Y-%m-%dT%H:%M}",
        }
        assert administrator_client.post("/people/grants/give/", form).headers["Location"] == f"/people/{nora.pk}/"
        assert can(User.objects.get(pk=nora.pk), Permission.FORCE, web1)
        said = text(administrator_client.get(f"/people/{nora.pk}/"))
        assert "Operator guest web1" in said
        assert f"{until:%H:%M}" in said
        assert "by admin" in said
        grant = Grant.objects.get()
        administrator_client.post(f"/people/grants/{grant.pk}/end/")
        assert not can(User.objects.get(pk=nora.pk), Permission.VIEW, web1)
        assert set(AuditEntry.objects.values_list("action", flat=True)) == {"grant.give", "grant.end"}

    def test_by_a_groups_page_to_all_who_are_in_it(
        self, administrator_client: Client, nora: User, web1: Domain
    ) -> None:
        group = Group.objects.create(name="desk")
        nora.groups.add(group)
        form = {"group": "desk", "role": "viewer", "scope": "everything", "thing": ""}
        assert (
            administrator_client.post("/people/grants/give/", form).headers["Location"] == f"/people/groups/{group.pk}/"
        )
        assert "Viewer everything desk" in text(administrator_client.get(f"/people/{nora.pk}/"))

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"person": "nobody-here"}, "There is nobody of this name."),
            ({"group": "admins"}, "Name a person or a group."),
            ({"person": ""}, "Name a person or a group."),
            ({"person": "", "group": "admins"}, "There is no group of this name."),
            ({"role": "king"}, "Select a valid choice."),
            ({"scope": "planet"}, "Select a valid choice."),
            ({"thing": ""}, "Say which guest."),
            ({"thing": "web2"}, "There is no such guest"),
            ({"scope": "host"}, "There is no such host"),
            ({"until": "2001-01-01T00:00"}, "The end lies in the past."),
            ({"until": "soon"}, "Enter a valid date/time."),
        ],
    )
    def test_what_is_wrong_is_said_and_gives_nothing(
        self, administrator_client: Client, nora: User, web1: Domain, wrong: dict[str, str], told: str
    ) -> None:
        form = {"person": "nora", "role": "viewer", "scope": "guest", "thing": "web1"}
        answer = administrator_client.post("/people/grants/give/", form | wrong)
        assert answer.status_code == 400
        assert told in text(answer)
        assert not Grant.objects.exists()

    def test_of_several_guests_with_one_name_the_uuid_chooses(
        self, administrator_client: Client, nora: User, web1: Domain
    ) -> None:
        twin = DomainFactory.create(name="web1")
        form = {"person": "nora", "role": "viewer", "scope": "guest", "thing": "web1"}
        assert str(twin.pk) in text(administrator_client.post("/people/grants/give/", form))
        administrator_client.post("/people/grants/give/", form | {"thing": str(twin.pk)})
        assert Grant.objects.get().scope_id == str(twin.pk)

    def test_the_last_administrator_is_told_so(self, administrator_client: Client, administrator: User) -> None:
        answer = administrator_client.post(f"/people/{administrator.pk}/role/", {"role": "viewer"})
        assert answer.status_code == 409
        assert "Nobody would be left" in text(answer)
        assert User.objects.get(pk=administrator.pk).role == Role.ADMINISTRATOR


class TestWhoAdministersOneSite:
    def test_sees_whom_something_was_granted_there_and_of_their_grants_these(
        self, lead_client: Client, administrator: User, nora: User, web1: Domain
    ) -> None:
        elsewhere = DomainFactory.create(name="secret")
        grant_to(nora, web1)
        grant_to(nora, elsewhere)
        grant_to(UserFactory.create(username="olaf"), elsewhere)
        UserFactory.create(username="pia", role=Role.OPERATOR)
        names = {row.person.username for row in lead_client.get("/people/").context["rows"]}
        assert names == {"lead", "nora"}
        said = text(lead_client.get(f"/people/{nora.pk}/"))
        assert "web1" in said
        assert "secret" not in said
        assert lead_client.get(f"/people/{administrator.pk}/").status_code == 404

    def test_gives_a_role_there_to_whom_they_name(self, lead_client: Client, nora: User, web1: Domain) -> None:
        form = {"person": "nora", "role": "operator", "scope": "host", "thing": "kvm1"}
        lead_client.post("/people/grants/give/", form)
        assert can(User.objects.get(pk=nora.pk), Permission.FORCE, web1)
        grant = Grant.objects.get(person=nora)
        assert lead_client.post(f"/people/grants/{grant.pk}/end/").headers["Location"] == "/people/"
        assert not Grant.objects.filter(person=nora).exists()

    def test_and_nowhere_else(self, lead_client: Client, nora: User, web1: Domain) -> None:
        DomainFactory.create(name="secret")
        form = {"person": "nora", "role": "viewer", "scope": "guest", "thing": "secret"}
        assert lead_client.post("/people/grants/give/", form).status_code == 400
        assert lead_client.post("/people/grants/give/", form | {"scope": "everything"}).status_code == 403
        assert not Grant.objects.filter(person=nora).exists()

    def test_does_not_touch_accounts(self, lead_client: Client, nora: User, web1: Domain) -> None:
        grant_to(nora, web1)
        for address in ("role/", "switch/", "password/"):
            assert lead_client.post(f"/people/{nora.pk}/{address}", {"role": "", "to": "off"}).status_code == 403
        page = lead_client.get(f"/people/{nora.pk}/").content.decode()
        assert "Switch off" not in page
        assert "Role of the account" not in page


class TestAccounts:
    def test_somebody_is_added_and_chooses_a_password_by_a_link_that_works_once(
        self, administrator_client: Client, anonymous_client: Client
    ) -> None:
        form = {
            "username": "olaf",
            "first_name": "Olaf",
            "last_name": "Berg",
            "email": "olaf@example.org",
            "role": "viewer",
        }
        assert administrator_client.post("/people/add/", form).status_code == 302
        olaf = User.objects.get(username="olaf")
        assert not olaf.has_usable_password()
        page = administrator_client.post(f"/people/{olaf.pk}/password/")
        assert "no-store" in page.headers["Cache-Control"]
        link = page.context["link"]
        opened = anonymous_client.get(link, follow=True)
        address = opened.redirect_chain[-1][0]
        assert "olaf" in text(opened)
        assert olaf.password not in address
        short = {"new_password1": "short", "new_password2": "short"}
        assert "too short" in text(anonymous_client.post(address, short))
        chosen = {"new_password1": "a good long one", "new_password2": "a good long one"}
        assert anonymous_client.post(address, chosen).headers["Location"] == "/sign-in/"
        assert User.objects.get(pk=olaf.pk).check_password("a good long one")
        signed_in = anonymous_client.post("/sign-in/", {"username": "olaf", "password": "a good long one"})
        assert signed_in.status_code == 302
        assert "works no more" in text(Client().get(link, follow=True))
        actions = list(AuditEntry.objects.order_by("pk").values_list("action", "user_name"))
        assert actions[:3] == [("person.add", "admin"), ("person.reset_password", "admin"), ("person.password", "olaf")]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"username": "nora"},
            {"username": "Nora"},
            {"username": ""},
            {"username": "a b"},
            {"role": "king"},
            {"email": "x"},
        ],
    )
    def test_nonsense_adds_nobody(self, administrator_client: Client, nora: User, wrong: dict[str, str]) -> None:
        before = User.objects.count()
        assert administrator_client.post("/people/add/", {"username": "olaf", **wrong}).status_code == 400
        assert User.objects.count() == before

    def test_a_reset_ends_the_password_and_its_sessions(
        self, administrator_client: Client, nora: User, client_of: Callable[[User], Client]
    ) -> None:
        hers = client_of(nora)
        assert hers.get("/people/").status_code == 403
        assert "stops working" in text(administrator_client.get(f"/people/{nora.pk}/password/"))
        administrator_client.post(f"/people/{nora.pk}/password/")
        assert not User.objects.get(pk=nora.pk).check_password(PASSWORD)
        assert hers.get("/people/").status_code == 302

    def test_a_second_link_makes_the_first_void(self, administrator_client: Client, nora: User) -> None:
        first, second = (administrator_client.post(f"/people/{nora.pk}/password/").context["link"] for _ in range(2))
        assert "works no more" in text(Client().get(first, follow=True))
        assert "For nora" in text(Client().get(second, follow=True))

    def test_nobody_resets_their_own(self, administrator_client: Client, administrator: User) -> None:
        assert administrator_client.post(f"/people/{administrator.pk}/password/").status_code == 409
        assert User.objects.get(pk=administrator.pk).check_password(PASSWORD)

    def test_who_is_switched_off_is_signed_out_and_a_link_works_no_more(
        self, administrator_client: Client, nora: User, client_of: Callable[[User], Client]
    ) -> None:
        hers = client_of(nora)
        link = administrator_client.post(f"/people/{nora.pk}/password/").context["link"]
        administrator_client.post(f"/people/{nora.pk}/switch/", {"to": "off"})
        assert hers.get("/jobs/").status_code == 302
        assert "works no more" in text(Client().get(link, follow=True))
        administrator_client.post(f"/people/{nora.pk}/switch/", {"to": "on"})
        assert User.objects.get(pk=nora.pk).is_active
        assert administrator_client.post(f"/people/{nora.pk}/switch/", {"to": "sideways"}).status_code == 400

    def test_sessions_and_tokens_of_who_was_switched_off_stay_ended(
        self, administrator_client: Client, nora: User
    ) -> None:
        hers, script = Client(), Caller(nora)
        hers.force_login(nora)
        assert hers.get("/account/").status_code == 200
        for to in ("off", "on"):
            administrator_client.post(f"/people/{nora.pk}/switch/", {"to": to})
        assert not Session.objects.filter(session_key=hers.cookies["sessionid"].value).exists()
        assert hers.get("/account/").status_code == 302
        assert script.get("/hosts").status_code == 401
        entry = AuditEntry.objects.get(action="token.withdraw")
        assert (entry.user_name, entry.detail) == ("admin", "everything of nora")

    def test_a_reset_ends_tokens_also_of_who_is_switched_off(self, administrator_client: Client, nora: User) -> None:
        script = Caller(nora)
        assert "switched off" not in text(administrator_client.post(f"/people/{nora.pk}/password/"))
        assert script.get("/hosts").status_code == 401
        User.objects.filter(pk=nora.pk).update(is_active=False)
        Caller(nora)
        assert "Link for a password" in text(administrator_client.get(f"/people/{nora.pk}/"))
        page = administrator_client.post(f"/people/{nora.pk}/password/")
        assert "works once they are switched on again" in text(page)
        assert not Token.objects.exists()
        administrator_client.post(f"/people/{nora.pk}/switch/", {"to": "on"})
        assert "For nora" in text(Client().get(page.context["link"], follow=True))


class TestGroups:
    def test_one_is_made_filled_emptied_and_removed(self, administrator_client: Client, nora: User) -> None:
        administrator_client.post("/people/groups/add/", {"name": "desk"})
        group = Group.objects.get(name="desk")
        home = f"/people/groups/{group.pk}/"
        administrator_client.post(f"{home}join/", {"person": "nora"})
        assert "nora" in text(administrator_client.get(home))
        assert administrator_client.post(f"{home}join/", {"person": "nora"}).status_code == 409
        Grant.objects.create(group=group, role=Role.VIEWER, scope=Scope.EVERYTHING)
        administrator_client.post(f"{home}leave/", {"person": nora.pk})
        assert not nora.groups.exists()
        assert "Viewer on everything" in text(administrator_client.get(f"{home}remove/"))
        assert administrator_client.post(f"{home}remove/", {"confirm": "dask"}).status_code == 400
        administrator_client.post(f"{home}remove/", {"confirm": "desk"})
        assert not Group.objects.exists()
        actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
        assert actions == ["group.add", "person.groups", "person.groups", "group.remove"]

    def test_queries_of_the_page_do_not_grow_with_people(self, administrator_client: Client) -> None:
        desk = Group.objects.create(name="desk")
        desk.user_set.add(UserFactory.create())
        few = queries_of(lambda: administrator_client.get(f"/people/groups/{desk.pk}/"))
        desk.user_set.add(*(UserFactory.create() for _ in range(3)))
        assert queries_of(lambda: administrator_client.get(f"/people/groups/{desk.pk}/")) == few

    @pytest.mark.parametrize("name", ["", "desk", "x" * 151])
    def test_nonsense_makes_none(self, administrator_client: Client, name: str) -> None:
        Group.objects.create(name="desk")
        assert administrator_client.post("/people/groups/add/", {"name": name}).status_code == 400
        assert Group.objects.count() == 1

    @pytest.mark.parametrize("person", ["", "²", "-1", "9" * 30])
    def test_nobody_leaves_by_nonsense(self, administrator_client: Client, person: str) -> None:
        group = Group.objects.create(name="desk")
        answer = administrator_client.post(f"/people/groups/{group.pk}/leave/", {"person": person})
        assert answer.status_code == 400

    def test_without_one_the_page_says_what_they_are_for(self, administrator_client: Client) -> None:
        assert "gets its roles as a group" in text(administrator_client.get("/people/groups/"))


class TestWhatCouldTheyDo:
    def ask(self, client: Client, kind: str, thing: str, person: str = "nora") -> Response:
        return client.get("/people/roles/", {"person": person, "kind": kind, "thing": thing})

    def test_yes_and_no_and_why(self, administrator_client: Client, nora: User, web1: Domain) -> None:
        group = Group.objects.create(name="desk")
        nora.groups.add(group)
        until = timezone.now() + timedelta(days=1)
        Grant.objects.create(
            group=group,
            role=Role.HELP_DESK,
            scope=Scope.HOST,
            scope_id=str(web1.host_id),
            scope_name="kvm1",
            until=until,
        )
        said = text(self.ask(administrator_client, "guest", "web1"))
        assert "start, shut down and restart guests yes Help desk on host kvm1, through the group desk, until" in said
        assert "force off or reset guests no needs operator or more here" in said

    @pytest.mark.parametrize(
        ("kind", "thing"), [("everything", ""), ("site", "Zürich"), ("host", "kvm1"), ("pool", "kvm1/default")]
    )
    def test_to_anything(self, administrator_client: Client, nora: User, web1: Domain, kind: str, thing: str) -> None:
        PoolFactory.create(name="default", host=web1.host)
        grant_to(nora, None, Role.VIEWER)
        answer = self.ask(administrator_client, kind, thing)
        said = f"nora on {kind} {thing.split('/')[-1]}".strip()
        assert said in text(answer)
        yes = [verdict.permission for verdict in answer.context["verdicts"] if verdict.allowed]
        assert yes == [Permission.VIEW]

    @pytest.mark.parametrize(
        ("kind", "thing", "person"),
        [("guest", "web2", "nora"), ("guest", "", "nora"), ("planet", "x", "nora"), ("pool", "default", "nora"),
         ("host", "kvm1", "nobody-here"), ("host", "kvm1", "")],
    )  # fmt: skip
    def test_what_is_not_there(
        self, administrator_client: Client, nora: User, web1: Domain, kind: str, thing: str, person: str
    ) -> None:
        answer = self.ask(administrator_client, kind, thing, person)
        assert answer.status_code == 400
        assert "verdicts" not in answer.context

    def test_of_what_is_not_theirs_nobody_hears(self, lead_client: Client, nora: User, web1: Domain) -> None:
        DomainFactory.create(name="secret")
        assert self.ask(lead_client, "guest", "web1").status_code == 400
        grant_to(nora, web1)
        assert self.ask(lead_client, "guest", "web1").status_code == 200
        assert self.ask(lead_client, "guest", "secret").status_code == 400

    def test_the_roles_stand_below(self, administrator_client: Client) -> None:
        assert "drain hosts – no – no yes yes" in text(administrator_client.get("/people/roles/"))

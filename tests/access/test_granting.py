"""Giving grants and ending them: never more than one holds, and never the last administrator's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group
from django.utils import timezone

from domains.models import Domain
from hosts.models import Host, Site, Tag
from tests.factories import DomainFactory, HostFactory, UserFactory
from vmdash.access import accounts
from vmdash.access.granting import administrators, end, give, may_give
from vmdash.access.models import AuditEntry, Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Permission, Role, can
from vmdash.exceptions import Conflict, InvalidInput, NotFound, NotPermitted

pytestmark = pytest.mark.django_db


@pytest.fixture
def zurich() -> Site:
    return Site.objects.create(name="Zürich")


@pytest.fixture
def kvm1(zurich: Site) -> Host:
    return HostFactory.create(name="kvm1", site=zurich)


@pytest.fixture
def web1(kvm1: Host) -> Domain:
    return DomainFactory.create(name="web1", host=kvm1)


@pytest.fixture
def elsewhere() -> Domain:
    return DomainFactory.create(host=HostFactory.create(site=Site.objects.create(name="Lyon")))


@pytest.fixture
def nora() -> User:
    return UserFactory.create(username="nora", role="")


@pytest.fixture
def lead(zurich: Site) -> User:
    """Administers one site."""
    person = UserFactory.create(username="lead", role="")
    Grant.objects.create(person=person, role=Role.ADMINISTRATOR, scope=Scope.SITE, scope_id=str(zurich.pk))
    return person


def again(person: User) -> User:
    return User.objects.get(pk=person.pk)


class TestGiving:
    def test_it_counts_at_once_and_is_written_down(self, administrator: User, nora: User, web1: Domain) -> None:
        until = timezone.now() + timedelta(days=1)
        grant = give(administrator, to=nora, role=Role.OPERATOR, scope=Scope.GUEST, scope_id=str(web1.pk), until=until)
        assert can(again(nora), Permission.FORCE, web1)
        assert (grant.scope_name, grant.until, grant.made_by) == ("web1", until, administrator)
        entry = AuditEntry.objects.get(action="grant.give")
        assert (entry.user, entry.target_name) == (administrator, "nora")
        assert entry.detail.startswith("Operator on guest web1 until ")

    @pytest.mark.parametrize("scope", [Scope.SITE, Scope.HOST, Scope.TAG])
    def test_on_a_site_a_host_and_a_tag(self, administrator: User, nora: User, web1: Domain, scope: Scope) -> None:
        tag = Tag.objects.create(name="prod")
        web1.tags.add(tag)
        thing = {Scope.SITE: web1.host.site, Scope.HOST: web1.host, Scope.TAG: tag}[scope]
        assert thing is not None
        give(administrator, to=nora, role=Role.HELP_DESK, scope=scope, scope_id=thing.pk)
        assert can(again(nora), Permission.POWER, web1)

    def test_to_a_group(self, administrator: User, nora: User, web1: Domain) -> None:
        desk = Group.objects.create(name="desk")
        nora.groups.add(desk)
        give(administrator, to=desk, role=Role.HELP_DESK, scope=Scope.EVERYTHING)
        assert can(again(nora), Permission.POWER, web1)
        assert AuditEntry.objects.get(action="grant.give").target_name == "desk"

    def test_once_more_changes_its_end(self, administrator: User, nora: User) -> None:
        later = timezone.now() + timedelta(days=9)
        give(administrator, to=nora, role=Role.VIEWER, scope=Scope.EVERYTHING)
        give(administrator, to=nora, role=Role.VIEWER, scope=Scope.EVERYTHING, until=later)
        assert Grant.objects.get().until == later
        assert AuditEntry.objects.filter(action="grant.change").exists()
        with pytest.raises(Conflict):
            give(administrator, to=nora, role=Role.VIEWER, scope=Scope.EVERYTHING, until=later)

    def test_one_that_has_ended_can_be_given_again(self, administrator: User, nora: User) -> None:
        past = timezone.now() - timedelta(days=9)
        Grant.objects.create(person=nora, role=Role.VIEWER, scope=Scope.EVERYTHING, until=past)
        assert give(administrator, to=nora, role=Role.VIEWER, scope=Scope.EVERYTHING).until is None

    @pytest.mark.parametrize(
        ("scope", "scope_id", "until", "error"),
        [
            (Scope.HOST, "0", None, NotFound),
            (Scope.HOST, "kvm1", None, NotFound),
            (Scope.HOST, 10**30, None, NotFound),
            (Scope.GUEST, "no-uuid", None, NotFound),
            (Scope.GUEST, "", None, NotFound),
            (Scope.EVERYTHING, "", timezone.now() - timedelta(minutes=1), InvalidInput),
        ],
    )
    def test_nonsense_changes_nothing(
        self, administrator: User, nora: User, scope: Scope, scope_id: object, until: datetime, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            give(administrator, to=nora, role=Role.VIEWER, scope=scope, scope_id=scope_id, until=until)
        assert not Grant.objects.exists()


class TestNoMoreThanOneHolds:
    def test_who_administers_a_site_gives_roles_there(self, lead: User, nora: User, web1: Domain, zurich: Site) -> None:
        for scope, thing in ((Scope.SITE, zurich), (Scope.HOST, web1.host), (Scope.GUEST, web1)):
            grant = give(lead, to=nora, role=Role.ADMINISTRATOR, scope=scope, scope_id=thing.pk)
            assert can(again(nora), Permission.MANAGE_PEOPLE, web1)
            end(lead, grant)

    def test_and_nowhere_else(self, lead: User, nora: User, web1: Domain, elsewhere: Domain) -> None:
        tag = Tag.objects.create(name="prod")
        web1.tags.add(tag)  # the tag can be on guests of other sites as well
        for scope, thing in ((Scope.SITE, elsewhere.host.site), (Scope.HOST, elsewhere.host), (Scope.TAG, tag)):
            assert thing is not None
            with pytest.raises(NotFound):
                give(lead, to=nora, role=Role.VIEWER, scope=scope, scope_id=thing.pk)
        with pytest.raises(NotPermitted):
            give(lead, to=nora, role=Role.VIEWER, scope=Scope.EVERYTHING)
        assert AuditEntry.objects.get(action="grant.give").refused
        assert not Grant.objects.filter(person=nora).exists()

    def test_who_sees_a_thing_and_administers_another_gives_nothing_on_the_first(
        self, lead: User, nora: User, elsewhere: Domain
    ) -> None:
        Grant.objects.create(person=lead, role=Role.OPERATOR, scope=Scope.GUEST, scope_id=str(elsewhere.pk))
        with pytest.raises(NotPermitted):
            give(again(lead), to=nora, role=Role.VIEWER, scope=Scope.GUEST, scope_id=elsewhere.pk)

    @pytest.mark.parametrize("role", [Role.VIEWER, Role.HELP_DESK, Role.OPERATOR])
    def test_who_manages_no_people_gives_nothing(self, nora: User, web1: Domain, role: Role) -> None:
        person = UserFactory.create(role=role)
        for given in Role:
            assert not may_give(person, given, None)
            assert not may_give(person, given, web1)
        with pytest.raises(NotPermitted):
            give(person, to=person, role=Role.VIEWER, scope=Scope.GUEST, scope_id=web1.pk)

    def test_what_others_were_granted_elsewhere_is_not_ended(
        self, lead: User, administrator: User, nora: User, elsewhere: Domain
    ) -> None:
        for scope, thing_id in ((Scope.EVERYTHING, ""), (Scope.GUEST, str(elsewhere.pk))):
            grant = give(administrator, to=nora, role=Role.VIEWER, scope=scope, scope_id=thing_id)
            assert grant not in Grant.objects.visible_to(lead)
            with pytest.raises(NotPermitted):
                end(lead, grant)
        assert Grant.objects.filter(person=nora).count() == 2
        assert AuditEntry.objects.filter(action="grant.end", refused=True).count() == 2

    def test_a_grant_on_what_is_gone_is_ended_by_who_manages_all(
        self, administrator: User, lead: User, nora: User, kvm1: Host
    ) -> None:
        grant = give(administrator, to=nora, role=Role.VIEWER, scope=Scope.HOST, scope_id=kvm1.pk)
        kvm1.delete()
        with pytest.raises(NotPermitted):
            end(lead, grant)
        end(administrator, grant)
        assert not Grant.objects.filter(person=nora).exists()

    def test_ended_twice(self, administrator: User, nora: User) -> None:
        grant = give(administrator, to=nora, role=Role.VIEWER, scope=Scope.EVERYTHING)
        end(administrator, Grant.objects.get(pk=grant.pk))
        with pytest.raises(Conflict):
            end(administrator, grant)


class TestTheLastAdministrator:
    """`administrator` is the only one, by the role of the account."""

    def test_keeps_their_role(self, administrator: User) -> None:
        with pytest.raises(Conflict):
            accounts.set_role(administrator, administrator, Role.OPERATOR)
        assert again(administrator).role == Role.ADMINISTRATOR
        assert not AuditEntry.objects.exists()

    def test_does_not_switch_themselves_off(self, administrator: User) -> None:
        with pytest.raises(Conflict):
            accounts.switch_off(administrator, administrator)
        assert again(administrator).is_active

    @pytest.fixture
    def by_group(self, administrator: User) -> User:
        """The only one, by a grant to a group."""
        group = Group.objects.create(name="admins")
        give(administrator, to=group, role=Role.ADMINISTRATOR, scope=Scope.EVERYTHING)
        administrator.groups.add(group)
        User.objects.filter(pk=administrator.pk).update(role="")
        return again(administrator)

    @pytest.mark.parametrize(
        "change",
        [
            lambda by, group: end(by, group.grants.get()),
            lambda by, group: accounts.leave(by, group, by),
            lambda by, group: accounts.remove_group(by, group),
            lambda by, group: give(
                by, to=group, role=Role.ADMINISTRATOR, scope=Scope.EVERYTHING, until=timezone.now() + timedelta(days=1)
            ),
        ],
    )
    def test_by_a_group(self, by_group: User, change: Callable[[User, Group], object]) -> None:
        with pytest.raises(Conflict):
            change(by_group, by_group.groups.get())
        assert list(administrators(lasting=True)) == [by_group]

    def test_neither_is_one_by_a_group_whose_account_is_kept_elsewhere(self, by_group: User) -> None:
        other = UserFactory.create(role=Role.ADMINISTRATOR)
        SocialAccount.objects.create(user=by_group, provider="oidc", uid="1")
        with pytest.raises(Conflict):
            accounts.switch_off(by_group, other)
        give(other, to=by_group, role=Role.ADMINISTRATOR, scope=Scope.EVERYTHING)
        accounts.switch_off(by_group, other)

    def test_another_one_who_never_can_come_in_does_not_count(self, administrator: User, nora: User) -> None:
        nora.set_unusable_password()
        nora.save()
        give(administrator, to=nora, role=Role.ADMINISTRATOR, scope=Scope.EVERYTHING)
        with pytest.raises(Conflict):
            accounts.set_role(administrator, administrator, "")
        User.objects.filter(pk=nora.pk).update(last_login=timezone.now())
        accounts.set_role(administrator, administrator, "")
        assert list(administrators()) == [nora]

    def test_neither_does_one_of_a_site_one_switched_off_nor_one_with_an_end(
        self, administrator: User, lead: User, nora: User
    ) -> None:
        UserFactory.create(role=Role.ADMINISTRATOR, is_active=False)
        tomorrow = timezone.now() + timedelta(days=1)
        give(administrator, to=nora, role=Role.ADMINISTRATOR, scope=Scope.EVERYTHING, until=tomorrow)
        with pytest.raises(Conflict):
            accounts.set_role(administrator, administrator, Role.VIEWER)

    def test_one_of_two_may_go(self, administrator: User) -> None:
        other = UserFactory.create(role=Role.ADMINISTRATOR)
        accounts.switch_off(administrator, other)
        accounts.switch_on(administrator, other)
        accounts.set_role(other, administrator, "")
        assert list(administrators()) == [other]


def test_a_name_that_differs_in_case_alone_is_taken(administrator: User, nora: User) -> None:
    with pytest.raises(InvalidInput, match="nora is taken"):
        accounts.add(administrator, name="NORA")


@pytest.mark.parametrize(
    "change",
    [
        lambda by, whom, group: accounts.add(by, name="new"),
        lambda by, whom, group: accounts.set_role(by, whom, Role.OPERATOR),
        lambda by, whom, group: accounts.switch_off(by, whom),
        lambda by, whom, group: accounts.switch_on(by, whom),
        lambda by, whom, group: accounts.reset_password(by, whom),
        lambda by, whom, group: accounts.add_group(by, "new"),
        lambda by, whom, group: accounts.remove_group(by, group),
        lambda by, whom, group: accounts.join(by, group, whom),
        lambda by, whom, group: accounts.leave(by, group, whom),
    ],
)
def test_accounts_and_groups_are_for_those_who_manage_people_everywhere(
    lead: User, nora: User, change: Callable[[User, User, Group], object]
) -> None:
    group = Group.objects.create(name="desk")
    before = (nora.password, User.objects.count(), Group.objects.count())
    with pytest.raises(NotPermitted):
        change(lead, nora, group)
    found = again(nora)
    assert (found.password, User.objects.count(), Group.objects.count()) == before
    assert (found.role, found.is_active, found.groups.count()) == ("", True, 0)
    assert AuditEntry.objects.get().refused

"""What people see and may do by their grants."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.utils import timezone

from domains.models import Domain
from hosts.models import Host, Site, Tag
from tests.factories import DomainFactory, HostFactory, UserFactory
from vmdash.access.models import Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Permission, Role, can

pytestmark = pytest.mark.django_db


@pytest.fixture
def kvm1() -> Host:
    return HostFactory.create(name="kvm1", site=Site.objects.create(name="Zürich"))


@pytest.fixture
def web1(kvm1: Host) -> Domain:
    return DomainFactory.create(name="web1", host=kvm1)


@pytest.fixture
def other() -> Domain:
    return DomainFactory.create(
        name="other", host=HostFactory.create(name="kvm2", site=Site.objects.create(name="Lyon"))
    )


@pytest.fixture
def person() -> User:
    return UserFactory.create(username="nora", role="")


def grant(
    to: User | Group, role: Role, scope: Scope, thing: Host | Site | Tag | Domain | None = None, **more: object
) -> Grant:
    whom = {"group": to} if isinstance(to, Group) else {"person": to}
    return Grant.objects.create(role=role, scope=scope, scope_id=str(thing.pk) if thing else "", **whom, **more)


def again(person: User) -> User:
    return User.objects.get(pk=person.pk)


def sees(person: User) -> set[str]:
    someone = again(person)
    hosts = Host.objects.visible_to(someone).values_list("name", flat=True)
    return {*hosts, *Domain.objects.visible_to(someone).values_list("name", flat=True)}


class TestWhatIsSeen:
    def test_nothing_without_a_grant(self, person: User, web1: Domain, other: Domain) -> None:
        assert sees(person) == set()

    def test_everything(self, person: User, web1: Domain, other: Domain) -> None:
        grant(person, Role.VIEWER, Scope.EVERYTHING)
        assert sees(person) == {"kvm1", "web1", "kvm2", "other"}

    def test_a_site(self, person: User, web1: Domain, other: Domain) -> None:
        grant(person, Role.VIEWER, Scope.SITE, web1.host.site)
        assert sees(person) == {"kvm1", "web1"}

    def test_a_host(self, person: User, web1: Domain, other: Domain) -> None:
        grant(person, Role.VIEWER, Scope.HOST, web1.host)
        assert sees(person) == {"kvm1", "web1"}

    def test_a_guest_without_its_host(self, person: User, web1: Domain, other: Domain) -> None:
        grant(person, Role.VIEWER, Scope.GUEST, web1)
        assert sees(person) == {"web1"}

    def test_a_tag_of_guests_and_hosts_each_once(self, person: User, web1: Domain, other: Domain) -> None:
        prod, test = Tag.objects.create(name="prod"), Tag.objects.create(name="test")
        web1.tags.add(prod, test)
        web1.host.tags.add(prod, test)
        for tag in (prod, test):
            grant(person, Role.VIEWER, Scope.TAG, tag)
        assert sees(person) == {"kvm1", "web1"}
        assert Domain.objects.visible_to(again(person)).count() == 1


class TestWhatMayBeDone:
    def test_only_where_it_was_granted(self, person: User, web1: Domain, other: Domain) -> None:
        grant(person, Role.HELP_DESK, Scope.GUEST, web1)
        someone = again(person)
        assert can(someone, Permission.POWER, web1)
        assert not can(someone, Permission.FORCE, web1)
        assert not can(someone, Permission.POWER, other)
        assert not can(someone, Permission.VIEW, web1.host)

    def test_on_a_guest_that_moved_away_no_more(self, person: User, web1: Domain, other: Domain) -> None:
        grant(person, Role.OPERATOR, Scope.HOST, web1.host)
        assert can(again(person), Permission.FORCE, web1)
        web1.host = other.host
        assert not can(again(person), Permission.FORCE, web1)

    def test_a_group_gives_it_to_its_members(self, person: User, web1: Domain) -> None:
        desk = Group.objects.create(name="desk")
        grant(desk, Role.HELP_DESK, Scope.EVERYTHING)
        assert not can(again(person), Permission.POWER, web1)
        person.groups.add(desk)
        assert can(again(person), Permission.POWER, web1)

    def test_an_end_ends_it(self, person: User, web1: Domain) -> None:
        given = grant(person, Role.OPERATOR, Scope.EVERYTHING, until=timezone.now() + timedelta(hours=1))
        assert can(again(person), Permission.FORCE, web1)
        given.until = timezone.now() - timedelta(seconds=1)
        given.save()
        assert not can(again(person), Permission.FORCE, web1)

    def test_who_was_deactivated_may_nothing(self, person: User, web1: Domain) -> None:
        grant(person, Role.ADMINISTRATOR, Scope.EVERYTHING)
        person.is_active = False
        person.save()
        assert not any(can(again(person), permission, web1) for permission in Permission)
        assert sees(person) == set()


@pytest.mark.parametrize(
    "fields",
    [
        {"role": "king", "scope": Scope.EVERYTHING},
        {"role": Role.VIEWER, "scope": "planet", "scope_id": "1"},
        {"role": Role.VIEWER, "scope": Scope.HOST},
        {"role": Role.VIEWER, "scope": Scope.EVERYTHING, "scope_id": "1"},
    ],
)
def test_a_grant_that_makes_no_sense_is_not_kept(person: User, fields: dict[str, str]) -> None:
    with transaction.atomic(), pytest.raises(IntegrityError):
        Grant.objects.create(person=person, **fields)


def test_a_grant_is_to_a_person_or_to_a_group(person: User) -> None:
    for whom in ({}, {"person": person, "group": Group.objects.create(name="desk")}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Grant.objects.create(role=Role.VIEWER, scope=Scope.EVERYTHING, **whom)


def test_the_same_is_granted_once(person: User) -> None:
    grant(person, Role.VIEWER, Scope.EVERYTHING)
    with pytest.raises(IntegrityError), transaction.atomic():
        grant(person, Role.VIEWER, Scope.EVERYTHING)

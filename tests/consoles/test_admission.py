"""Who may come into the gateway, and who may stay."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import pytest
from django.contrib.sessions.models import Session
from django.test import override_settings
from django.utils import timezone

from domains.consoles.gateway.admission import Refused, Visit, admit, check_stay
from domains.consoles.gateway.endings import CloseCode, Ended
from domains.consoles.tickets import Kind
from tests.consoles.conftest import Visitor
from tests.factories import DomainFactory, HostFactory, UserFactory
from vmdash.access.models import AuditEntry, Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.live.redis import client

pytestmark = pytest.mark.django_db

VisitorOf = Callable[..., Visitor]


@pytest.fixture
def granted_visitor(visitor_of: VisitorOf) -> Visitor:
    """Somebody from the help desk of one guest."""
    visitor = visitor_of(UserFactory.create(role=""))
    Grant.objects.create(person=visitor.user, role=Role.HELP_DESK, scope=Scope.GUEST, scope_id=str(visitor.domain.pk))
    return visitor


def let_in(visitor: Visitor) -> Visit:
    return admit(visitor.path(), visitor.headers(visitor.ticket()))


def refusal(path: str, headers: dict[str, str]) -> Refused:
    with pytest.raises(Refused) as caught:
        admit(path, headers)
    return caught.value


def the_refusal_on_record() -> AuditEntry:
    return AuditEntry.objects.get(refused=True)


def test_the_holder_of_a_ticket_is_let_in(visitor: Visitor) -> None:
    visit = let_in(visitor)
    assert (visit.user, visit.domain, visit.target) == (visitor.user, visitor.domain, visitor.target)


def test_a_path_prefix_of_a_proxy_does_no_harm(visitor: Visitor) -> None:
    admit(f"/gateway{visitor.path()}", visitor.headers(visitor.ticket()))


def test_a_replayed_ticket_is_refused_and_recorded(visitor: Visitor) -> None:
    token = visitor.ticket()
    admit(visitor.path(), visitor.headers(token))
    assert "used already" in refusal(visitor.path(), visitor.headers(token)).words
    entry = the_refusal_on_record()
    assert (entry.user, entry.action, entry.target_name) == (visitor.user, "console.connect", visitor.domain.name)


def test_a_late_ticket_is_refused_and_recorded(visitor: Visitor) -> None:
    token = visitor.ticket()
    client().pexpire(client().keys("*ticket*")[0], 0)
    assert "too old" in refusal(visitor.path(), visitor.headers(token)).words
    assert the_refusal_on_record().user == visitor.user


def test_somebody_elses_ticket_is_refused_recorded_and_used_up(visitor: Visitor, visitor_of: VisitorOf) -> None:
    thief = visitor_of(UserFactory.create(role=Role.ADMINISTRATOR), domain=visitor.domain)
    token = visitor.ticket()
    assert "another person" in refusal(thief.path(), thief.headers(token)).words
    assert the_refusal_on_record().user == thief.user
    refusal(visitor.path(), visitor.headers(token))


def test_a_ticket_of_another_session_of_the_same_person_is_refused(visitor: Visitor, visitor_of: VisitorOf) -> None:
    elsewhere = visitor_of(visitor.user, domain=visitor.domain)
    assert "another sign-in" in refusal(elsewhere.path(), elsewhere.headers(visitor.ticket())).words
    assert the_refusal_on_record().user == visitor.user


def test_a_ticket_for_another_guest_is_refused_and_recorded(visitor: Visitor) -> None:
    other = DomainFactory.create()
    assert "another console" in refusal(f"/vnc/{other.pk}", visitor.headers(visitor.ticket())).words
    assert the_refusal_on_record().target_name == other.name


def test_a_ticket_for_the_other_kind_of_console_is_refused(visitor: Visitor) -> None:
    assert "another console" in refusal(visitor.path(Kind.SERIAL), visitor.headers(visitor.ticket())).words
    assert the_refusal_on_record().user == visitor.user


@pytest.mark.parametrize("role", ["", Role.VIEWER])
def test_a_ticket_is_worth_nothing_after_the_role_is_withdrawn(visitor: Visitor, role: str) -> None:
    token = visitor.ticket()
    User.objects.filter(pk=visitor.user.pk).update(role=role)
    refusal(visitor.path(), visitor.headers(token))
    assert the_refusal_on_record().user == visitor.user


def test_a_ticket_is_worth_nothing_after_the_grant_is_withdrawn(granted_visitor: Visitor) -> None:
    token = granted_visitor.ticket()
    Grant.objects.all().delete()
    assert "There is no such guest" in refusal(granted_visitor.path(), granted_visitor.headers(token)).words
    assert the_refusal_on_record().user == granted_visitor.user


def test_a_ticket_is_worth_nothing_after_the_grant_has_ended(granted_visitor: Visitor) -> None:
    token = granted_visitor.ticket()
    Grant.objects.update(until=timezone.now())
    refusal(granted_visitor.path(), granted_visitor.headers(token))
    assert the_refusal_on_record().target_id == str(granted_visitor.domain.pk)


def test_a_ticket_is_worth_nothing_after_the_guest_moved_away(granted_visitor: Visitor) -> None:
    Grant.objects.update(scope=Scope.HOST, scope_id=str(granted_visitor.domain.host_id))
    token = granted_visitor.ticket()
    granted_visitor.domain.host = HostFactory.create()
    granted_visitor.domain.save()
    refusal(granted_visitor.path(), granted_visitor.headers(token))
    assert the_refusal_on_record().user == granted_visitor.user


def test_a_smaller_grant_lets_nobody_in(granted_visitor: Visitor) -> None:
    token = granted_visitor.ticket()
    Grant.objects.update(role=Role.VIEWER)
    assert "You may not" in refusal(granted_visitor.path(), granted_visitor.headers(token)).words
    assert the_refusal_on_record().user == granted_visitor.user


def test_a_deactivated_person_is_refused_and_recorded(visitor: Visitor) -> None:
    token = visitor.ticket()
    User.objects.filter(pk=visitor.user.pk).update(is_active=False)
    refusal(visitor.path(), visitor.headers(token))
    assert the_refusal_on_record().target_name == visitor.domain.name


def test_a_ticket_that_is_shown_without_a_session_is_worth_nothing_and_is_recorded_once(visitor: Visitor) -> None:
    headers = visitor.headers(visitor.ticket()) | {"Cookie": ""}
    assert refusal(visitor.path(), headers).status == HTTPStatus.FORBIDDEN
    entry = the_refusal_on_record()
    assert (entry.user, entry.target_name) == (None, visitor.domain.name)
    refusal(visitor.path(), headers)
    refusal(visitor.path(), visitor.headers("forged") | {"Cookie": ""})
    assert AuditEntry.objects.count() == 1, "strangers cannot fill the trail"


@pytest.mark.parametrize("origin", ["", "null", "http://[", "http://evil.example", "http://127.0.0.1.evil.example"])
def test_other_sites_pages_are_refused_and_the_ticket_stays_good(visitor: Visitor, origin: str) -> None:
    token = visitor.ticket()
    refusal(visitor.path(), visitor.headers(token, origin=origin))
    admit(visitor.path(), visitor.headers(token))


def test_the_loopback_address_of_ipv6_is_one_of_ours(visitor: Visitor) -> None:
    admit(visitor.path(), visitor.headers(visitor.ticket(), origin="http://[::1]:8000"))


@override_settings(CSRF_TRUSTED_ORIGINS=["https://fleet.example"])
def test_a_trusted_origin_is_let_in(visitor: Visitor) -> None:
    admit(visitor.path(), visitor.headers(visitor.ticket(), origin="https://fleet.example"))


NO_GUEST = "0f2d6a1c-5b7e-4c3d-9a8f-1e2d3c4b5a69"


@pytest.mark.parametrize("path", ["/", "/vnc/", "/vnc/web1", f"/spice/{NO_GUEST}", f"/vnc/{NO_GUEST}/../x", "/%00"])
def test_an_address_that_is_none_is_not_found(visitor: Visitor, path: str) -> None:
    assert refusal(path, visitor.headers(visitor.ticket())).status == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("protocols", ["", "binary", "ticket", "binary,,,"])
def test_a_request_without_a_ticket_is_a_bad_one(visitor: Visitor, protocols: str) -> None:
    headers = visitor.headers("") | {"Sec-WebSocket-Protocol": protocols}
    assert refusal(visitor.path(), headers).status == HTTPStatus.BAD_REQUEST


def test_who_has_the_right_may_stay(visitor: Visitor) -> None:
    check_stay(let_in(visitor))


def ending_of(visit: Visit) -> CloseCode:
    with pytest.raises(Ended) as caught:
        check_stay(visit)
    return caught.value.ending.code


def test_who_signs_out_must_go(visitor: Visitor) -> None:
    visit = let_in(visitor)
    Session.objects.all().delete()
    assert ending_of(visit) is CloseCode.SIGNED_OUT


def test_who_changes_the_password_must_go(visitor: Visitor) -> None:
    visit = let_in(visitor)
    visitor.user.set_password("another long password")
    visitor.user.save()
    assert ending_of(visit) is CloseCode.SIGNED_OUT


def test_who_loses_the_right_must_go(visitor: Visitor) -> None:
    visit = let_in(visitor)
    User.objects.filter(pk=visitor.user.pk).update(role=Role.VIEWER)
    assert ending_of(visit) is CloseCode.RIGHT_WITHDRAWN


def test_nobody_stays_at_a_guest_that_is_gone(visitor: Visitor) -> None:
    visit = let_in(visitor)
    visitor.domain.delete()
    assert ending_of(visit) is CloseCode.GUEST_GONE

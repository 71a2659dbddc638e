"""Consoles for scripts: a ticket that counts with the token it was given to, and with nothing else."""

from __future__ import annotations

import pytest

from domains.consoles import tickets
from domains.consoles.gateway.admission import Refused, Visit, admit, check_stay
from domains.consoles.gateway.endings import Ended
from domains.consoles.opening import CONSOLE_OPEN
from domains.consoles.tickets import Opening, Route, Target
from domains.models import Domain
from tests.api.caller import Caller
from tests.factories import DomainFactory, JobFactory
from vmdash.access.models import AuditEntry, User
from vmdash.api import tokens
from vmdash.api.models import TokenScope

pytestmark = pytest.mark.django_db


@pytest.fixture
def guest() -> Domain:
    return DomainFactory.create(name="web1", has_serial=True, graphics=[{"kind": "vnc"}])


def opened(calls: Caller, guest: Domain) -> dict[str, str]:
    """What the script sends to the gateway, with the ticket that it got."""
    answer = calls.post(f"/guests/{guest.pk}/console", {"kind": "serial"})
    assert answer.status_code == 200
    assert answer.json()["url"].endswith(f"/serial/{guest.pk}")
    return {"Sec-WebSocket-Protocol": ", ".join(answer.json()["protocols"]), "Authorization": f"Bearer {calls.text}"}


def let_in(guest: Domain, headers: dict[str, str]) -> Visit:
    return admit(f"/serial/{guest.pk}", headers)


def test_a_script_gets_into_the_serial_console_with_its_token(calls: Caller, guest: Domain, operator: User) -> None:
    visit = let_in(guest, opened(calls, guest))
    assert (visit.user, visit.domain) == (operator, guest)
    check_stay(visit)


def test_the_ticket_counts_once(calls: Caller, guest: Domain) -> None:
    headers = opened(calls, guest)
    let_in(guest, headers)
    with pytest.raises(Refused):
        let_in(guest, headers)


def test_another_token_of_the_same_person_does_not_open_it(calls: Caller, guest: Domain, operator: User) -> None:
    _, other = tokens.make(user=operator, name="other", scope=TokenScope.ACT, until=None)
    with pytest.raises(Refused):
        let_in(guest, opened(calls, guest) | {"Authorization": f"Bearer {other}"})
    assert AuditEntry.objects.filter(action="console.connect", refused=True).count() == 1


def test_whoever_is_in_goes_out_when_the_token_is_withdrawn(calls: Caller, guest: Domain) -> None:
    visit = let_in(guest, opened(calls, guest))
    calls.token.delete()
    with pytest.raises(Ended):
        check_stay(visit)


def test_a_token_that_reads_opens_no_console(operator: User, guest: Domain) -> None:
    reads = Caller(operator, TokenScope.READ)
    assert reads.get(f"/guests/{guest.pk}/console").status_code == 403
    assert reads.post(f"/guests/{guest.pk}/console", {"kind": "serial"}).status_code == 403


def test_a_screen_is_prepared_by_a_job_and_collected_once(calls: Caller, guest: Domain, administrator: User) -> None:
    asked = calls.post(f"/guests/{guest.pk}/console", {"kind": "screen"})
    assert asked.status_code == 202
    path = f"/guests/{guest.pk}/console/{asked.json()['id']}"
    assert calls.post(path).status_code == 202
    done = JobFactory.create(
        domain=guest, kind=CONSOLE_OPEN.name, requested_by=calls.token.user, state="succeeded", exclusive=False
    )
    tickets.leave_opening(done.pk, Opening(Target(guest.host_id, Route.DIRECT, "127.0.0.1", 5900), "secret"))
    path = f"/guests/{guest.pk}/console/{done.pk}"
    assert Caller(administrator).post(path).status_code == 404
    assert calls.post(path).json()["password"] == "secret"
    assert calls.post(path).status_code == 404


def test_people_are_told_where_the_pages_are(calls: Caller, guest: Domain) -> None:
    screen, serial = calls.get(f"/guests/{guest.pk}/console").json()
    assert screen["url"] == f"http://testserver/domains/{guest.pk}/console/"
    assert (screen["why_not"], serial["why_not"]) == ("", "")

"""What lies in Redis on the way to a console."""

from __future__ import annotations

from uuid import uuid4

import pytest

from domains.consoles import tickets
from domains.consoles.tickets import Kind, Opening, Route, Target, Ticket, TicketInvalid
from vmdash.live.redis import client

TARGET = Target(host_id=3, route=Route.SSH, address="127.0.0.1", port=5901)


def a_ticket() -> Ticket:
    return Ticket(user_id=7, session=tickets.session_digest("key"), guest=uuid4(), kind=Kind.VNC, target=TARGET)


def test_a_ticket_comes_back_as_it_was_issued() -> None:
    ticket = a_ticket()
    assert tickets.redeem(tickets.issue(ticket)) == ticket


def test_a_ticket_is_good_once() -> None:
    token = tickets.issue(a_ticket())
    tickets.redeem(token)
    with pytest.raises(TicketInvalid):
        tickets.redeem(token)


def test_a_forged_ticket_is_none() -> None:
    with pytest.raises(TicketInvalid):
        tickets.redeem("forged")


def test_a_late_ticket_is_none() -> None:
    token = tickets.issue(a_ticket())
    (key,) = client().keys()
    assert 0 < client().ttl(key) <= tickets.LIFETIME_S
    client().pexpire(key, 0)
    with pytest.raises(TicketInvalid):
        tickets.redeem(token)


def test_redis_never_holds_the_token_itself() -> None:
    token = tickets.issue(a_ticket())
    (key,) = client().keys()
    assert token.encode() not in key
    assert token.encode() not in client().getrange(key, 0, -1)


def test_an_opening_is_read_once() -> None:
    job_id, opening = uuid4(), Opening(TARGET, password="secret12")
    tickets.leave_opening(job_id, opening)
    assert 0 < client().ttl(client().keys()[0]) <= tickets.LIFETIME_S
    assert tickets.take_opening(job_id) == opening
    assert tickets.take_opening(job_id) is None


def test_an_opening_does_not_show_its_password() -> None:
    assert "secret12" not in repr(Opening(TARGET, password="secret12"))

"""Consoles of real guests, over all three ways to a host: TCP, TLS, SSH."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from domains.consoles import opening
from domains.consoles.gateway.endings import CloseCode
from domains.consoles.tickets import SUBPROTOCOL_PREFIX, Kind
from domains.models import Domain, DomainState
from hosts.models import Credential, Host
from tests.consoles.conftest import Visitor
from tests.consoles.test_gateway import end_of
from tests.consoles.vnc import VncClient
from tests.factories import DomainFactory
from vmdash.access.models import User
from vmdash.jobs.execution import execute
from vmdash.jobs.models import Job
from vmdash.lab.inventory import inventory
from vmdash.lab.layout import Lab
from vmdash.lab.qemu_host import QemuHost

pytestmark = [pytest.mark.lab, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway")]

GUESTS = [("kvm1", "web1"), ("kvm2", "wiki"), ("kvm3", "queue1")]
each_way = pytest.mark.parametrize(("host_name", "guest"), GUESTS, ids=["tcp", "tls", "ssh"])

RowOf = Callable[[str, str], Domain]


@pytest.fixture
def row_of(lab: Lab, db: None) -> RowOf:
    """The row of a practice guest, as the collector would write it, with its host."""

    def make(host_name: str, guest: str) -> Domain:
        entry: dict[str, Any] = dict(next(entry for entry in inventory(lab) if entry["name"] == host_name))
        columns = {field.name for field in Host._meta.fields} - {"site", "credential"}
        host = Host.objects.create(
            credential=Credential.objects.create(**entry["credential"]),
            state=Host.State.UP,
            **{name: value for name, value in entry.items() if name in columns},
        )
        return DomainFactory.create(
            uuid=UUID(lab.uuid(guest)), name=guest, host=host, state_since=timezone.now(), has_serial=True,
            state=DomainState.RUNNING, graphics=[{"kind": "vnc"}],
        )  # fmt: skip

    return make


class Desk:
    """A browser of the help desk, without the browser."""

    def __init__(self, client: Client, visitor: Visitor) -> None:
        self.client = client
        self.visitor = visitor
        visitor.session_key = client.session.session_key or ""

    def open_screen(self) -> tuple[str, str]:
        """The ticket and the password, through the page's addresses; the worker's part is done here."""
        ticket = self.client.post(f"/domains/{self.visitor.domain.pk}/console/").json()["ticket"]
        execute(Job.objects.get())
        answer = self.client.get(ticket).json()
        return answer["protocols"][1].removeprefix(SUBPROTOCOL_PREFIX), answer["password"]

    def open_serial(self, **fields: str) -> str:
        answer = self.client.post(f"/domains/{self.visitor.domain.pk}/serial/", fields).json()
        return str(answer["protocols"][1].removeprefix(SUBPROTOCOL_PREFIX))


@pytest.fixture
def desk_of(
    row_of: RowOf, help_desk: User, help_desk_client: Client, visitor_of: Callable[..., Visitor]
) -> Callable[[str, str], Desk]:
    def make(host_name: str, guest: str) -> Desk:
        return Desk(help_desk_client, visitor_of(help_desk, domain=row_of(host_name, guest)))

    return make


DeskOf = Callable[[str, str], Desk]


@each_way
def test_a_screen_opens_with_a_fresh_password(
    desk_of: DeskOf, booted: Callable[[str, str], QemuHost], host_name: str, guest: str
) -> None:
    booted(host_name, guest)
    desk = desk_of(host_name, guest)
    token, password = desk.open_screen()
    with desk.visitor.connect(token) as console:
        screen = VncClient(console)
        assert screen.authenticate(password)
        assert min(screen.size()) > 100


def test_a_wrong_password_is_refused(desk_of: DeskOf) -> None:
    desk = desk_of(*GUESTS[0])
    token, _ = desk.open_screen()
    with desk.visitor.connect(token) as console:
        assert not VncClient(console).authenticate("wrong")


def test_an_expired_password_is_refused(desk_of: DeskOf, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desk_of(*GUESTS[0])
    monkeypatch.setattr(opening, "LIFETIME_S", -1)
    token, password = desk.open_screen()
    with desk.visitor.connect(token) as console:
        assert not VncClient(console).authenticate(password)


@each_way
def test_a_serial_console_answers(
    desk_of: DeskOf, booted: Callable[[str, str], QemuHost], host_name: str, guest: str
) -> None:
    booted(host_name, guest)
    desk = desk_of(host_name, guest)
    with desk.visitor.connect(desk.open_serial(), kind=Kind.SERIAL) as console:
        console.send(b"\recho $((6*7))\r")
        said = b""
        while b"\n42" not in said:
            said += console.recv(timeout=20, decode=False)


def test_a_serial_console_in_use_is_said_so_and_can_be_taken_over(desk_of: DeskOf) -> None:
    desk = desk_of(*GUESTS[0])
    visitor = desk.visitor
    with visitor.connect(desk.open_serial(), kind=Kind.SERIAL) as first:
        first.send(b"\r")
        first.recv(timeout=20)
        with visitor.connect(desk.open_serial(), kind=Kind.SERIAL) as second:
            code, reason = end_of(second)
            assert (code, "another client has it open" in reason) == (CloseCode.IN_USE, True)
        with visitor.connect(desk.open_serial(take_over="yes"), kind=Kind.SERIAL) as third:
            third.send(b"\r")
            assert third.recv(timeout=20)
            assert end_of(first)[0] in (CloseCode.CLOSED_BY_GUEST, CloseCode.UNREACHABLE)

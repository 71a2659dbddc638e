"""Hosts for collectors, and waiting for what they write down."""

from __future__ import annotations

from collections.abc import Callable

from domains.models import Domain
from hosts.announce import announce_changed
from hosts.models import Host
from tests.collector.process import CollectorProcess
from tests.factories import HostFactory
from tests.polling import poll

AddHost = Callable[..., Host]
StartCollector = Callable[..., CollectorProcess]


def add_row(**columns: object) -> Host:
    """The row of a host that nobody has seen yet; collectors are told."""
    usual = {"driver": "test", "transport": "tcp", "address": "127.0.0.1", "path": "/default", "state": "new"}
    host = HostFactory.create(**{**usual, **columns})
    announce_changed(host.pk)
    return host


def guest(name: str) -> Domain | None:
    return Domain.objects.present().filter(name=name).first()


def wait_for_state(name: str, state: str, deadline_s: float = 5) -> Domain:
    def there() -> Domain | None:
        return Domain.objects.present().filter(name=name, state=state).first()

    found = poll(there, deadline_s, f"{name} to be {state}")
    assert found
    return found


def wait_until(host: Host, state: Host.State, deadline_s: float = 15) -> None:
    def reached() -> bool:
        host.refresh_from_db()
        return host.state == state

    poll(reached, deadline_s, f"{host.name} to be {state}")

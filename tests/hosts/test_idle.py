"""Connections that are kept for the next piece of work."""

from __future__ import annotations

import pytest

from hosts import idle
from hosts.connect import connected
from hosts.models import Host
from tests.factories import HostFactory
from tests.libvirtd import TestDriverHost
from tests.polling import poll
from vmdash.exceptions import Conflict

pytestmark = pytest.mark.django_db


@pytest.fixture
def host(libvirtd: TestDriverHost) -> Host:
    return HostFactory.create(driver="test", transport="tcp", address="127.0.0.1", port=libvirtd.port, path="/default")


def test_the_next_piece_of_work_gets_the_same_connection(host: Host) -> None:
    with connected(host) as first:
        pass
    assert first.is_alive()
    with connected(host) as second, connected(host) as beside:
        assert second is first
        assert beside is not first


def test_after_work_that_failed_it_is_closed(host: Host) -> None:
    with pytest.raises(Conflict), connected(host) as connection:
        raise Conflict("It is busy.")
    assert not connection.is_alive()


def test_a_host_that_was_changed_is_opened_anew(host: Host) -> None:
    with connected(host) as first:
        pass
    host.address = "localhost"
    with connected(host) as second:
        assert second is not first


def test_nobody_else_came_so_it_is_closed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "KEEP_S", 0)
    with connected(host) as connection:
        pass
    poll(lambda: not connection.is_alive(), 10, "the connection to be closed")


def test_a_connection_that_broke_is_not_given_out(host: Host) -> None:
    with connected(host) as first:
        pass
    first.close()
    with connected(host) as second:
        assert second.is_alive()

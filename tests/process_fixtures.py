"""Processes that tests ask for: web, workers, and a libvirtd without real guests. Shared by the tests of one module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar
from uuid import UUID

import pytest
from django.utils import timezone

from domains.models import Domain
from hosts.models import Host
from tests.factories import DomainFactory, HostFactory
from tests.libvirtd import TestDriverHost
from tests.services import Server
from tests.storage_host import StorageHost
from tests.web import Web
from tests.worker import Worker


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    """Pages and WebSockets. Tests that use it need `django_db(transaction=True)`."""
    server = Web()
    yield server
    server.stop()


S = TypeVar("S", bound=Server)


class Shared(Generic[S]):
    """The server that the tests of a module share, from the first one that asks for it.

    One that has died takes the test along that used it; those after it get a new one. libvirtd 9.0 can crash when a
    client goes while its event callbacks change (seen once, in DEREG_CB of remote_daemon_dispatch.c).
    """

    def __init__(self, make: Callable[[], S]) -> None:
        self._make = make
        self._shared: S | None = None

    def shared(self) -> S:
        if self._shared and self._shared.has_ended():
            self.stop()
        self._shared = self._shared or self._make()
        return self._shared

    def stop(self) -> None:
        if self._shared:
            self._shared.stop()
            self._shared = None


@pytest.fixture(scope="module")
def workers(django_db_setup: None) -> Iterator[Shared[Worker]]:
    workers = Shared(Worker)
    yield workers
    workers.stop()


@pytest.fixture
def worker(workers: Shared[Worker]) -> Worker:
    """A Celery worker for both queues. Tests that use it need `django_db(transaction=True)`."""
    return workers.shared()


@pytest.fixture
def new_worker(workers: Shared[Worker]) -> Iterator[Callable[[], Worker]]:
    """Starts workers for one test, which may stop or kill them. No other one is there to take their work."""
    workers.stop()
    started: list[Worker] = []

    def start() -> Worker:
        started.append(Worker())
        return started[-1]

    yield start
    for worker in started:
        worker.stop()


@pytest.fixture(scope="module")
def libvirtds() -> Iterator[Shared[TestDriverHost]]:
    hosts = Shared(TestDriverHost)
    yield hosts
    hosts.stop()


@pytest.fixture
def libvirtd(libvirtds: Shared[TestDriverHost]) -> TestDriverHost:
    """A libvirtd with libvirt's test driver."""
    return libvirtds.shared()


@pytest.fixture(scope="module")
def storage_host() -> Iterator[StorageHost]:
    """A libvirtd with libvirt's QEMU driver and real storage, but no guests."""
    host = StorageHost()
    yield host
    host.stop()


@pytest.fixture(scope="module")
def other_storage_host() -> Iterator[StorageHost]:
    """A second one, for what goes from host to host."""
    host = StorageHost()
    yield host
    host.stop()


class KnownGuest(Protocol):
    def __call__(self, name: str, *, running: bool = False) -> Domain: ...


@pytest.fixture
def known_guest(libvirtd: TestDriverHost, db: None) -> Iterator[KnownGuest]:
    """Makes a guest on the test driver's host, and its row as the collector would write it."""
    made: list[Domain] = []

    def make(name: str, *, running: bool = False) -> Domain:
        host = Host.objects.filter(name="testhost").first() or HostFactory.create(
            name="testhost", driver="test", transport="tcp", address="127.0.0.1", port=libvirtd.port, path="/default"
        )
        guest = libvirtd.define(name, running=running)
        domain = DomainFactory.create(
            uuid=UUID(guest.uuid),
            host=host,
            name=name,
            state=guest.status().state.value,
            state_since=timezone.now(),
            domain_type="test",
        )
        made.append(domain)
        return domain

    yield make
    for domain in made:
        guest = libvirtd.connection.guest(str(domain.uuid))
        if guest.is_active():
            guest.destroy()
        guest.undefine(managed_save=True, snapshots=True)

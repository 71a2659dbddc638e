"""Processes that tests ask for: workers, and a libvirtd without real guests. Shared by the tests of one module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol
from uuid import UUID

import pytest
from django.utils import timezone

from domains.models import Domain
from hosts.models import Host
from tests.factories import DomainFactory, HostFactory
from tests.libvirtd import TestDriverHost
from tests.storage_host import StorageHost
from tests.worker import Worker


@pytest.fixture(scope="module")
def worker(django_db_setup: None) -> Iterator[Worker]:
    """A Celery worker for both queues. Tests that use it need `django_db(transaction=True)`."""
    worker = Worker()
    yield worker
    worker.stop()


@pytest.fixture(scope="module")
def libvirtd() -> Iterator[TestDriverHost]:
    """A libvirtd with libvirt's test driver."""
    host = TestDriverHost()
    yield host
    host.stop()


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
        guest.undefine(managed_save=True)

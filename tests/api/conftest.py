from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from domains.models import Domain
from tests.api.caller import Caller
from tests.factories import DomainFactory
from vmdash.access.models import User


@pytest.fixture
def calls(operator: User) -> Caller:
    """An operator's script."""
    return Caller(operator)


@pytest.fixture
def guest(db: None) -> Domain:
    """One that runs, on a host that answers."""
    return DomainFactory.create(name="web1")


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Requests leave the test's connection to the database open."""
    both = (request_started, request_finished)
    for signal in both:
        signal.disconnect(close_old_connections)
    yield
    for signal in both:
        signal.connect(close_old_connections)

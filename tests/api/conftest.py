from __future__ import annotations

import pytest

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

"""Collectors at work on a libvirtd without real guests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from hosts.models import Host
from tests.collector.process import CollectorProcess
from tests.collector.waiting import add_row
from tests.libvirtd import TestDriverHost

NO_SWEEP = {"SWEEP_INTERVAL_S": 3600}


@pytest.fixture(scope="module")
def collector(django_db_setup: None) -> Iterator[CollectorProcess]:
    """One that learns of changes from events alone, for the tests of a module."""
    collector = CollectorProcess(**NO_SWEEP)
    yield collector
    collector.stop()


@pytest.fixture
def start_collector(transactional_db: None) -> Iterator[Callable[..., CollectorProcess]]:
    """Starts collectors, which end with the test."""
    started: list[CollectorProcess] = []

    def start(**settings: int) -> CollectorProcess:
        started.append(CollectorProcess(**settings))
        return started[-1]

    yield start
    for collector in started:
        collector.stop()


@pytest.fixture
def add_host(transactional_db: None) -> Callable[..., Host]:
    """Adds the row of a host on this libvirtd, which nobody has seen yet."""

    def add(libvirtd: TestDriverHost, **columns: object) -> Host:
        return add_row(port=libvirtd.port, **columns)

    return add

"""A drain of a host is struck and cancelled: each of its guests runs once, where the record of the drain says."""

from __future__ import annotations

import pytest

from tests.survival.rounds import Rounds
from tests.survival.workers import Crew

pytestmark = [pytest.mark.survival, pytest.mark.lab, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("number", range(3))
def test_the_worker_dies(drains: Rounds, crew: Crew, number: int) -> None:
    crew.stand_by()
    drains.struck(crew.kill, mend=crew.relieve, dead=True)


@pytest.mark.parametrize("name", ["kvm1", "kvm2"])
def test_libvirtd_dies_on_a_host(drains: Rounds, name: str) -> None:
    host = drains.stage.hosts[name]
    drains.struck(lambda: host.signal_libvirtd("KILL"), mend=host.start_libvirtd)


def test_it_is_cancelled_at_ten_moments(drains: Rounds) -> None:
    for _ in range(10):
        drains.cancelled()

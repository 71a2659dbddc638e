"""Whatever is killed, every guest runs exactly once or is as before, and each job tells the truth.

Each round strikes all deeds at once, each at a moment of its own.
"""

from __future__ import annotations

import pytest

from tests.services import Redis
from tests.survival.accidents import DatabaseAway
from tests.survival.rounds import Rounds
from tests.survival.workers import Crew

pytestmark = [pytest.mark.survival, pytest.mark.lab, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("number", range(3))
def test_the_worker_dies(rounds: Rounds, crew: Crew, number: int) -> None:
    crew.stand_by()
    rounds.struck(crew.kill, mend=crew.relieve, dead=True)


@pytest.mark.parametrize("name", ["kvm1", "kvm2", "kvm3"])
def test_libvirtd_dies_on_a_host(rounds: Rounds, name: str) -> None:
    host = rounds.stage.hosts[name]
    rounds.struck(lambda: host.signal_libvirtd("KILL"), mend=host.start_libvirtd)


def test_the_worker_and_libvirtd_die_at_once(rounds: Rounds, crew: Crew) -> None:
    crew.stand_by()
    host = rounds.stage.hosts[rounds.chance.choice(["kvm1", "kvm2", "kvm3"])]

    def strike() -> None:
        crew.kill()
        host.signal_libvirtd("KILL")

    def mend() -> None:
        host.start_libvirtd()
        crew.relieve()

    rounds.struck(strike, mend=mend, dead=True)


def test_redis_dies(rounds: Rounds, crew: Crew, redis_server: Redis) -> None:
    def mend() -> None:
        redis_server.begin()
        crew.begin_again()

    rounds.struck(redis_server.kill, mend=mend)


def test_the_database_goes_away(rounds: Rounds) -> None:
    away = DatabaseAway()
    rounds.struck(away.strike, mend=away.mend)

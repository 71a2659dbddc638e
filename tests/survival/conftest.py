"""The stage, the deeds, and chance.

VMDASH_TEST_SEED=12345 pytest tests/survival    # the same moments again
"""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.storage.conftest import Gateway
from tests.survival import clones, draining, moves, snapshots, uploading, volumes
from tests.survival.deed import Deed
from tests.survival.rounds import Rounds
from tests.survival.stage import Stage
from tests.survival.workers import Crew
from vmdash.access.models import User
from vmdash.lab.qemu_host import QemuHost

DEEDS: tuple[type[Deed], ...] = (
    moves.MoveShared, moves.MoveCopied, moves.MoveOff,
    clones.CloneFull, clones.CloneElsewhere, clones.CloneLinked, clones.CloneRunning,
    clones.CloneMany,
    snapshots.TakeDisks, snapshots.TakeFiles, snapshots.TakeInternal,
    snapshots.RevertExternal, snapshots.RevertInternal, snapshots.Merge, snapshots.Flatten,
    volumes.Create, volumes.CloneVolume, volumes.Convert, volumes.Resize, volumes.Wipe, volumes.Delete,
    volumes.CopyImage, uploading.SendFile,
)  # fmt: skip
"""A new sort of job goes here. Their objects must not be called like the beginning of another's."""


MakeRounds = Callable[[Sequence[type[Deed]]], Rounds]


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    seed = int(os.environ.get("VMDASH_TEST_SEED") or secrets.randbelow(100_000))
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(f"\naccidents happen by VMDASH_TEST_SEED={seed}")
    return seed


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("survival")


@pytest.fixture(scope="session")
def usual_s() -> dict[str, float]:
    """How long each deed takes, once that was measured."""
    return {}


@pytest.fixture(scope="module")
def crew(django_db_setup: None) -> Iterator[Crew]:
    crew = Crew()
    yield crew
    crew.stop()


@pytest.fixture(scope="module")
def gateway(django_db_setup: None) -> Iterator[Gateway]:
    gateway = Gateway()
    yield gateway
    gateway.stop()


@pytest.fixture
def stage(lab_hosts: dict[str, QemuHost], operator: User, store: Path) -> Iterator[Stage]:
    stage = Stage(lab_hosts, operator, store)
    yield stage


@pytest.fixture(scope="module")
def leaving(lab_hosts: dict[str, QemuHost]) -> Iterator[dict[str, Deed]]:
    """What was made for deeds is there for all tests of a module, and is taken away after the last of them: others
    count guests, and each that runs takes from the machine."""
    deeds: dict[str, Deed] = {}
    yield deeds
    if deeds:
        stage = next(iter(deeds.values())).stage
        stage.own |= {deed.own for deed in deeds.values()}
        now = stage.picture()
        for deed in deeds.values():
            deed.leave(now)
        stage.refresh()


@pytest.fixture
def rounds_of(
    stage: Stage, crew: Crew, usual_s: dict[str, float], seed: int, request: pytest.FixtureRequest,
    leaving: dict[str, Deed], gateway: Gateway, monkeypatch: pytest.MonkeyPatch,
) -> Iterator[MakeRounds]:  # fmt: skip
    """Makes rounds of these sorts of deeds."""
    monkeypatch.setattr(uploading.SendFile, "gateway", gateway)
    crew.on_duty()
    made: list[Rounds] = []

    def make(sorts: Sequence[type[Deed]]) -> Rounds:
        deeds = [sort(stage) for sort in sorts]
        leaving.update({deed.own: deed for deed in deeds})
        made.append(Rounds(stage, deeds, usual_s, random.Random(f"{seed} {request.node.name}"), seed))
        return made[-1]

    yield make
    for rounds in made:
        rounds.rest()


@pytest.fixture
def rounds(rounds_of: MakeRounds) -> Rounds:
    """Of all deeds, which were done once already."""
    rounds = rounds_of(DEEDS)
    rounds.get_used()
    return rounds


@pytest.fixture
def drains(rounds_of: MakeRounds) -> Rounds:
    """Of a drain alone: it takes along all guests of its host."""
    rounds = rounds_of([draining.DrainHost])
    rounds.get_used()
    return rounds

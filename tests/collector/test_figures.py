"""When a host's figures are read."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from pytest_django import Settings

from hosts.collector import figures
from hosts.collector.crowd import COMFORTABLE, Crowd
from hosts.collector.duties import Duty
from hosts.collector.figures import Figures
from hosts.collector.guests import GuestWatch
from hosts.collector.lane import STEP_S, Lane
from hosts.collector.publisher import Publisher
from hosts.collector.sampling import Round, Sampler
from hosts.models import Host
from vmdash.virt.errors import HypervisorError
from vmdash.virt.guest import Guest
from vmdash.virt.states import GuestStatus

FAST_S, SLOW_S = 2, 10
RUNNING = GuestStatus.from_libvirt(1, 1)


@dataclass
class FakeHost:
    """What it is asked, in order, and how long it takes to answer."""

    guests: int = 3
    contended: list[str] | None = None
    steal: float = 0.2
    """What the guest that loses most does."""
    fast_takes_s: float = 0
    slow_takes_s: float = 0
    """A guest."""
    broken: bool = False
    asked: list[str] = field(default_factory=list)
    put_off: list[bool] = field(default_factory=list)
    """Of each round, whether to find who takes what guests lose was left to a later one."""

    def sampler(self) -> Mock:
        return Mock(
            spec=Sampler,
            needs_names=False,
            most_steal=self.steal,
            fast=self._fast,
            slow=self._slow,
            contended=self._contended,
            both=self._both,
            place=lambda guests: self.asked.append(f"place {len(guests)}"),
            attribute=lambda measure: self.asked.append("attribute"),
            cells=lambda: True,
        )

    def watch(self) -> Mock:
        handles = {f"u-{n}": Mock(spec=Guest, uuid=f"u-{n}") for n in range(self.guests)}
        return Mock(
            spec=GuestWatch,
            known=handles,
            active=lambda: handles,
            active_among=lambda uuids: [handles[uuid] for uuid in uuids],
        )

    def _fast(self, *_: object) -> Round:
        time.sleep(self.fast_takes_s)
        self.asked.append("fast")
        return Round(dict.fromkeys(map(str, range(self.guests)), RUNNING), "tick", "pulse")

    def _both(self, *_: object) -> Round:
        if self.broken:
            raise HypervisorError.because("read the guests' statistics", "kvm1")
        time.sleep(self.fast_takes_s + self.slow_takes_s * self.guests)
        self.asked.append("both")
        return Round(dict.fromkeys(map(str, range(self.guests)), RUNNING), "tick", "pulse")

    def _contended(self, *, later: bool) -> list[str] | None:
        self.put_off.append(later)
        return None if later else self.contended

    def _slow(self, guests: Sequence[Guest], *, node: bool) -> None:
        if self.broken:
            raise HypervisorError.because("read the guests' statistics", "kvm1")
        time.sleep(self.slow_takes_s * len(guests))
        self.asked.append(f"{'host and ' if node else ''}slow {len(guests)}")


@dataclass
class At:
    """The figures of a host."""

    host: FakeHost
    tick: Duty
    rest: Duty
    places: Duty
    publisher: Mock
    figures: Figures
    sampler: Mock


@pytest.fixture
async def lane() -> AsyncIterator[Lane]:
    lane = Lane("kvm1", deadline_s=5)
    yield lane
    await lane.finish(lambda: None)


@pytest.fixture
def long_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """So long that everything fits in, on any machine."""
    monkeypatch.setattr(figures, "STEP_S", 60)


def figures_of(
    host: FakeHost, lane: Lane, fast_s: int = FAST_S, slow_s: int = SLOW_S, crowd: Crowd | None = None
) -> At:
    publisher, sampler = Mock(spec=Publisher), host.sampler()
    row = Host(pk=1, name="kvm1", fast_interval_s=fast_s, slow_interval_s=slow_s)
    made = Figures(row, lane, sampler, host.watch(), publisher, crowd or Crowd())
    return At(host, *made.duties(), publisher, made, sampler)


async def test_what_else_is_due_is_read_in_the_step_of_the_fast_tier(lane: Lane, long_steps: None) -> None:
    at = figures_of(FakeHost(contended=["u-1"]), lane)
    await at.tick.step()
    assert at.host.asked == ["fast", "place 1", "attribute", "host and slow 3"]
    at.publisher.tick.assert_called_once_with(1, "tick", "pulse")
    assert at.rest.due() - time.monotonic() > SLOW_S / 3

    await at.tick.step()
    assert at.host.asked[4:] == ["fast", "place 1", "attribute"], "the slow tier has its own rhythm"


@pytest.mark.parametrize(("fast_s", "slow_s"), [(10, 10), (60, 10)])
async def test_two_rounds_of_the_slow_tier_are_never_in_one_step(
    lane: Lane, long_steps: None, fast_s: int, slow_s: int
) -> None:
    """Their rates would be over no time."""
    at = figures_of(FakeHost(), lane, fast_s, slow_s)
    for _ in range(20):  # the first due dates are random
        at.host.asked.clear()
        await at.tick.step()
        assert at.host.asked in (["fast"], ["fast", "host and slow 3"], ["both"])


async def test_a_quick_host_is_asked_for_both_tiers_at_once(lane: Lane, long_steps: None) -> None:
    at = figures_of(FakeHost(guests=10, contended=["u-1"]), lane, fast_s=10, slow_s=10)
    for _ in range(20):
        await at.tick.step()
    assert at.host.asked[:3] == ["fast", "place 1", "attribute"]
    assert at.host.asked[3] in ("host and slow 5", "both"), "nobody knows yet how quick it is"
    assert at.host.asked[-3:] == ["both", "place 1", "attribute"]
    assert at.host.asked.count("fast") < 4


async def test_a_host_that_takes_its_time_is_not(lane: Lane, long_steps: None) -> None:
    """Rates of CPU time would be off by as much as the call takes."""
    at = figures_of(FakeHost(guests=10, slow_takes_s=0.02 * FAST_S / 10), lane)
    for _ in range(20):
        await at.tick.step()
    assert "both" not in at.host.asked


async def test_after_a_failure_the_tiers_are_read_apart(lane: Lane, long_steps: None) -> None:
    """So that at least the fast one is told."""
    at = figures_of(FakeHost(), lane, fast_s=10, slow_s=10)
    for _ in range(20):
        await at.tick.step()
    assert at.host.asked[-1] == "both"
    at.host.broken = True
    with pytest.raises(HypervisorError):
        await at.tick.step()
    at.publisher.reset_mock()
    with suppress(HypervisorError):
        await at.tick.step()
    at.publisher.tick.assert_called_once()


@pytest.mark.parametrize(("steal", "expected"), [(0.02, [False, True, True, True, True, False]), (0.2, [False] * 6)])
async def test_who_takes_little_is_not_asked_in_each_round(
    lane: Lane, long_steps: None, monkeypatch: pytest.MonkeyPatch, steal: float, expected: list[bool]
) -> None:
    now = 1000.0
    monkeypatch.setattr(figures, "time", SimpleNamespace(monotonic=lambda: now))
    at = figures_of(FakeHost(contended=["u-1"], steal=steal), lane)
    for _ in range(6):
        await at.tick.step()
        now += FAST_S
    assert at.host.put_off == expected


async def test_in_a_crowd_that_nobody_looks_at_takers_are_not_found_in_each_round(
    lane: Lane, long_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(figures, "time", SimpleNamespace(monotonic=lambda: now))
    crowd = Crowd()
    crowd.note(2, 5 * COMFORTABLE)
    at = figures_of(FakeHost(contended=["u-1"]), lane, crowd=crowd)

    async def put_off(rounds: int) -> list[bool]:
        nonlocal now
        at.host.put_off.clear()
        for _ in range(rounds):
            await at.tick.step()
            now += FAST_S
        return at.host.put_off

    assert await put_off(6) == [False, True, True, True, True, False], "five times as many guests, every fifth"
    at.figures.view(True)
    assert await put_off(3) == [False] * 3


async def test_a_slow_host_is_read_in_several_short_steps(lane: Lane) -> None:
    """So that an event has to wait for none of them."""
    at = figures_of(FakeHost(guests=40, fast_takes_s=STEP_S, slow_takes_s=STEP_S / 5), lane)
    await at.tick.step()
    assert at.host.asked == ["fast"]
    at.publisher.tick.assert_called_once()

    steps = 0
    while at.rest.due() <= time.monotonic():
        await at.rest.step()
        steps += 1

    told = at.host.asked[1:]
    assert steps > 3
    assert told[0].startswith("host and")
    assert sum(int(one.split()[-1]) for one in told) == 40


async def test_a_host_without_running_guests_is_read_all_the_same(lane: Lane, long_steps: None) -> None:
    at = figures_of(FakeHost(guests=0), lane)
    await at.tick.step()
    assert at.host.asked == ["fast", "host and slow 0"]
    assert at.rest.due() > time.monotonic()


async def test_the_fast_tier_counts_although_the_slow_one_fails(lane: Lane, long_steps: None) -> None:
    at = figures_of(FakeHost(broken=True), lane)
    with pytest.raises(HypervisorError):
        await at.tick.step()
    at.publisher.tick.assert_called_once()
    assert at.tick.due() > time.monotonic()
    assert at.rest.due() > time.monotonic()


async def test_a_look_at_the_cells_ends_once_all_guests_are_found(lane: Lane) -> None:
    at = figures_of(FakeHost(guests=60), lane)
    await at.places.step()
    at.sampler.looked.assert_not_called()
    while at.places.due() <= time.monotonic():
        await at.places.step()
    assert at.host.asked == ["place 40", "place 20"]
    at.sampler.looked.assert_called_once_with()


async def test_a_look_at_a_host_without_running_guests_ends_at_once(lane: Lane) -> None:
    at = figures_of(FakeHost(guests=0), lane)
    await at.places.step()
    at.sampler.looked.assert_called_once_with()


async def test_while_its_page_is_open_a_crowd_is_no_reason_to_look_seldom_at_a_host(
    lane: Lane, settings: Settings
) -> None:
    crowd = Crowd()
    crowd.note(2, 5 * COMFORTABLE)
    at = figures_of(FakeHost(guests=0), lane, crowd=crowd)
    await at.places.step()
    interval_s = settings.PLACES_INTERVAL_S
    assert at.places.due() - time.monotonic() > 4 * interval_s

    assert at.figures.view(True)
    assert at.places.due() - time.monotonic() <= interval_s
    assert not at.figures.view(True), "the same page"
    at.figures.view(False)
    await at.places.step()
    assert at.places.due() - time.monotonic() > 4 * interval_s

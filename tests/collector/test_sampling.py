"""Counters become figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import orjson
import pytest

from hosts.collector import sampling
from hosts.collector.sampling import History, Round, Sampler
from vmdash.live.messages import Tick
from vmdash.metrics.lines import Reading
from vmdash.metrics.sums import HostSums
from vmdash.virt import stats
from vmdash.virt.connection import HostConnection
from vmdash.virt.counters import Counters
from vmdash.virt.errors import CallUnsupported, HypervisorError
from vmdash.virt.guest import Guest, VcpuPlacement
from vmdash.virt.node import CpuTimes, MemoryUse, NodeCpuStats, NodeMemoryStats, NumaCell
from vmdash.virt.stats import GuestStats

S = 1_000_000_000


def reading(
    uuid: str, cpu_s: float = 0, delay_s: float = 0, *, vcpus: int = 2, more: Mapping[str, int | str] | None = None
) -> GuestStats:
    """A reading of `domstats`: `delay_s` is the first vCPU's, the others never wait."""
    raw: dict[str, Any] = {"state.state": 1, "state.reason": 1, "cpu.time": int(cpu_s * S)}
    raw |= {"vcpu.current": vcpus, "vcpu.maximum": vcpus}
    for number in range(vcpus):
        raw |= {f"vcpu.{number}.state": 1, f"vcpu.{number}.time": 0, f"vcpu.{number}.delay": 0}
    raw["vcpu.0.delay"] = int(delay_s * S)
    return GuestStats(uuid, f"name-of-{uuid}", Counters.of({**raw, **(more or {})}))


class FakeHost:
    """Tells what the test wants it to; time passes only when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.guests: list[GuestStats] = []
        self.rest: list[GuestStats] = []
        self.busy_s = self.idle_s = 0.0
        self.supported = True
        self.history: list[tuple[Any, ...]] = []
        self.sums: list[tuple[Any, ...]] = []
        self.recorded: list[tuple[str, Sequence[Reading]]] = []
        """Of guests."""
        self._node = SimpleNamespace(cpu_stats=self._cpu_stats, memory_use=self._memory_use)
        connection = cast(HostConnection, SimpleNamespace(name="kvm1", node=self._node))
        history = SimpleNamespace(
            guests=self._record,
            node=lambda *told: self.history.append(told),
            sums=lambda *told: self.sums.append(told),
        )
        self.sampler = Sampler(connection, 7, history)
        monkeypatch.setattr(sampling, "time", SimpleNamespace(monotonic=lambda: self.now, time=lambda: self.now))
        monkeypatch.setattr(stats, "fast", lambda _: self._told(self.guests))
        monkeypatch.setattr(stats, "slow", lambda _, guests: self.rest)
        monkeypatch.setattr(stats, "both", lambda _: self._told(self.guests))

    def with_cells(self, *cells: NumaCell) -> list[tuple[Any, ...]]:
        """It has these; the result is what is recorded of where vCPUs were seen."""
        placed: list[tuple[Any, ...]] = []
        connection = SimpleNamespace(name="kvm1", node=SimpleNamespace(**vars(self._node), cells=lambda: cells))
        history = SimpleNamespace(placed=lambda *told: placed.append(told))
        self.sampler = Sampler(cast(HostConnection, connection), 7, cast(History, history))
        return placed

    def _record(self, host: str, read: Sequence[Sequence[Reading]]) -> None:
        self.recorded.extend((host, one) for one in read)

    def _told(self, answer: Any) -> Any:
        if not self.supported:
            raise CallUnsupported("not here")
        return answer

    def _cpu_stats(self) -> NodeCpuStats:
        return cast(
            NodeCpuStats, self._told(NodeCpuStats(CpuTimes(-1, int(self.busy_s * S), 0, int(self.idle_s * S), 0)))
        )

    def _memory_use(self) -> MemoryUse:
        return MemoryUse(-1, 1000, 100, 50, 150)

    def fast(
        self, *guests: GuestStats, after_s: float = 0, active: Mapping[str, str] | None = None
    ) -> tuple[Round, Tick]:
        self.now += after_s
        self.guests = list(guests)
        done = self.sampler.fast(2, 5, active or {})
        return done, orjson.loads(done.tick)

    def both(self, *guests: GuestStats, after_s: float = 0) -> Tick:
        self.now += after_s
        self.guests = list(guests)
        return cast(Tick, orjson.loads(self.sampler.both(2, 5, {}).tick))

    def slow(self, rest: Sequence[GuestStats], after_s: float = 0) -> None:
        self.now += after_s
        self.rest = list(rest)
        self.sampler.slow(cast(Sequence[Guest], ["handles"]))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    return FakeHost(monkeypatch)


def test_the_first_round_knows_who_runs_but_no_rates(host: FakeHost) -> None:
    done, tick = host.fast(reading("a"))

    assert done.statuses is not None
    assert done.statuses["a"].words == "running: booted"
    assert (tick["host"], tick["interval_ms"], tick["at"]) == (7, 2000, 1_000_000)
    assert set(tick["guests"]["a"].values()) == {None}
    assert (tick["sample"]["running"], tick["sample"]["guests"], tick["sample"]["cpu"]) == (1, 5, None)


def test_cpu_is_percent_of_the_guest_s_vcpus_and_steal_their_mean_and_worst(host: FakeHost) -> None:
    host.fast(reading("a", 10, 5))

    _, tick = host.fast(reading("a", 11, 5.8), after_s=2)

    sample = tick["guests"]["a"]
    assert (sample["cpu"], sample["steal"], sample["steal_max"]) == (25.0, 20.0, 40.0)
    assert host.sampler.most_steal == pytest.approx(0.2)


def test_a_counter_that_began_anew_gives_no_figure_instead_of_a_wrong_one(host: FakeHost) -> None:
    host.fast(reading("a", 10, 5))

    _, tick = host.fast(reading("a", 1, 0), after_s=2)

    assert set(tick["guests"]["a"].values()) == {None}


def test_the_host_s_steal_is_that_of_all_vcpus_together(host: FakeHost) -> None:
    host.fast(reading("a"), reading("b", vcpus=6))
    host.busy_s, host.idle_s = 3, 1

    _, tick = host.fast(reading("a", delay_s=1), reading("b", delay_s=0.6, vcpus=6), after_s=2)

    assert tick["sample"]["steal"] == 10.0
    assert tick["sample"]["cpu"] == 75.0


def test_the_pulse_names_the_five_worst_above_one_percent(host: FakeHost) -> None:
    def many(seconds: float) -> list[GuestStats]:
        return [reading(str(n), delay_s=seconds * n / 10, vcpus=1) for n in range(8)]

    host.fast(*many(0))

    done, _ = host.fast(*many(1), after_s=1)

    worst = orjson.loads(done.pulse)["worst"]
    assert worst[0] == ["7", "name-of-7", 70.0]
    assert [uuid for uuid, _, _ in worst] == ["7", "6", "5", "4", "3"]


def test_memory_disks_and_network_come_from_the_slow_tier_with_their_own_time(host: FakeHost) -> None:
    more: dict[str, int | str] = {
        "block.count": 2,
        "block.0.name": "vda",
        "block.1.name": "vdb",
        "net.count": 1,
        "net.0.name": "vnet0",
    }
    more |= {"balloon.current": 900, "balloon.available": 800, "balloon.usable": 600, "balloon.rss": 700}
    before = {"block.0.rd.bytes": 0, "block.1.rd.bytes": 0, "block.0.wr.bytes": 0}
    after = {"block.0.rd.bytes": 4000, "block.1.rd.bytes": 500, "block.0.wr.bytes": 10}
    host.fast(reading("a"))
    host.slow([reading("a", more={**more, **before, "net.0.rx.bytes": 0, "net.0.tx.bytes": 9})])

    host.slow([reading("a", more={**more, **after, "net.0.rx.bytes": 70, "net.0.tx.bytes": 0})], after_s=10)

    _, tick = host.fast(reading("a"), after_s=2)
    sample = tick["guests"]["a"]
    assert (sample["mem"], sample["rss"]) == (200, 700)
    assert (sample["rd"], sample["wr"], sample["rx"], sample["tx"]) == (450, 1, 7, None)
    assert (sample["slow_at"], tick["at"]) == (1_010_000, 1_012_000)
    assert len(host.recorded) == 2


def test_both_tiers_in_one_call_tell_the_same(host: FakeHost) -> None:
    before: dict[str, int | str] = {"balloon.rss": 700, "block.count": 1, "block.0.name": "vda", "block.0.rd.bytes": 0}
    host.both(reading("a", 10, 5, more=before))
    tick = host.both(reading("a", 11, 5.8, more=before | {"block.0.rd.bytes": 4000}), after_s=2)
    sample = tick["guests"]["a"]
    assert (sample["cpu"], sample["steal"], sample["rd"], sample["rss"]) == (25.0, 20.0, 2000, 700)
    assert (sample["slow_at"], tick["at"]) == (1_002_000, 1_002_000)
    assert [[at_ms for at_ms, _ in one] for _, one in host.recorded] == [[1_000_000], [1_002_000]]

    _, tick = host.fast(reading("a", 12, 6.6), after_s=2)
    assert (tick["guests"]["a"]["cpu"], tick["guests"]["a"]["steal"]) == (25.0, 20.0), "the reading before was of both"
    assert tick["guests"]["a"]["rd"] == 2000


def test_what_cpus_did_is_recorded_with_the_time_of_its_reading_however_late_the_rest_comes(host: FakeHost) -> None:
    """Else a host that answers late would seem to have used and lost more than all of the time."""
    host.fast(reading("a"))
    host.slow([reading("a")], after_s=9)
    host.fast(reading("a"), after_s=3)
    host.slow([reading("a")])
    times = [[at_ms for at_ms, _ in one] for _, one in host.recorded]
    assert times == [[1_000_000, 1_009_000], [1_012_000, 1_012_000]]


def test_so_is_what_the_cpus_of_the_host_did(host: FakeHost) -> None:
    host.fast()
    host.now += 9
    host.sampler.node()
    _, at_ms, _, _, cpu_at_ms = host.history[-1]
    assert (at_ms, cpu_at_ms) == (1_009_000, 1_000_000)


@pytest.fixture
def taken(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, float]]:
    """CPU seconds that guests have lost so far, by who took them, as each division tells it."""
    told: list[Mapping[str, float]] = []
    monkeypatch.setattr(sampling, "_RECORD_TAKEN_S", 0)
    monkeypatch.setattr(host.sampler._history, "taken", lambda *one: told.append(dict(one[-1])), raising=False)
    return told


def burner(cpu_s: float) -> GuestStats:
    return reading("b", cpu_s, more={"vcpu.0.time": int(cpu_s * S)})


def divide(host: FakeHost, asked: Sequence[str]) -> None:
    """Those who were asked for are all on the same CPUs."""
    for uuid in asked:
        host.sampler._contention.place(uuid, {0: 3, 1: 4})
    host.sampler.attribute(measure=False)


def test_the_host_s_own_work_is_read_in_two_rounds_and_then_left_alone(
    host: FakeHost, taken: list[Mapping[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[int]] = []

    def times_of(cpus: set[int]) -> dict[int, CpuTimes]:
        asked.append(cpus)
        return {cpu: CpuTimes(cpu, int(host.now * S), 0, 0, 0) for cpu in cpus}

    monkeypatch.setattr(host._node, "times_of", times_of, raising=False)
    known = []
    for number, measure in enumerate((True, True, False, False)):
        host.fast(reading("a", delay_s=number), after_s=2)
        host.sampler._contention.place("a", {0: 3, 1: 4})
        known.append(host.sampler.attribute(measure=measure))
    assert asked == [{3}, {3}], "nobody waits in the first round; then it is read twice"
    assert known == [False, False, True, False]
    assert taken[-1] == {"": pytest.approx(2.0)}, "it took all that was lost in the last two rounds"


def test_what_is_left_to_a_later_round_is_divided_there_and_nothing_of_it_is_lost(
    host: FakeHost, taken: list[Mapping[str, float]]
) -> None:
    for number in range(6):
        host.fast(reading("a", delay_s=number), burner(2 * number), after_s=2)
        asked = host.sampler.contended(later=number in (1, 2, 3))
        assert (asked is None) == (number < 4), "in the first round nobody knows yet"
        if asked is not None:
            divide(host, asked)
    assert taken == [{"b": pytest.approx(4.0)}, {"b": pytest.approx(5.0)}]


def test_a_loss_that_has_ended_is_divided_all_the_same(host: FakeHost, taken: list[Mapping[str, float]]) -> None:
    host.fast(reading("a"), burner(0))
    host.fast(reading("a", delay_s=0.1), burner(2), after_s=2)
    assert host.sampler.contended(later=True) is None
    for number in range(4):
        host.fast(reading("a", delay_s=0.1), burner(4 + 2 * number), after_s=2)
        assert host.sampler.contended(later=True) is None
    asked = host.sampler.contended()
    assert asked == ["a", "b"], "as little as it is by now"
    divide(host, asked)
    assert taken == [{"b": pytest.approx(0.1)}]


def test_a_look_that_fails_loses_nothing(
    host: FakeHost, taken: list[Mapping[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    host.fast(reading("a"), burner(0))
    host.fast(reading("a", delay_s=1), burner(2), after_s=2)
    with monkeypatch.context() as broken:
        broken.setattr(host.sampler._contention, "divide", Mock(side_effect=HypervisorError("busy")))
        with pytest.raises(HypervisorError):
            divide(host, host.sampler.contended() or ())
    host.fast(reading("a", delay_s=2), burner(4), after_s=2)
    divide(host, host.sampler.contended() or ())
    assert taken == [{"b": pytest.approx(2.0)}]


def test_who_came_since_the_last_division_takes_its_part(host: FakeHost, taken: list[Mapping[str, float]]) -> None:
    host.fast(reading("a"))
    host.fast(reading("a", delay_s=0.5), after_s=2)
    assert host.sampler.contended(later=True) is None
    host.fast(reading("a", delay_s=0.5), burner(0), after_s=2)
    assert host.sampler.contended(later=True) is None
    host.fast(reading("a", delay_s=2.5), burner(2), after_s=2)
    divide(host, host.sampler.contended() or ())
    assert taken == [{"b": pytest.approx(2.5)}]


def test_a_cpu_that_cannot_be_read_keeps_nothing_from_being_divided(
    host: FakeHost, taken: list[Mapping[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host._node, "times_of", Mock(side_effect=HypervisorError("it is offline")), raising=False)
    for number in range(2):
        host.fast(reading("a", delay_s=number), burner(2 * number), after_s=2)
    for uuid in host.sampler.contended() or ():
        host.sampler._contention.place(uuid, {0: 3, 1: 4})
    assert not host.sampler.attribute(measure=True)
    assert taken == [{"b": pytest.approx(1.0)}]


def test_memory_of_the_host_is_without_buffers_and_cache(host: FakeHost) -> None:
    host.sampler.node()

    _, tick = host.fast()

    assert (tick["sample"]["mem"], tick["sample"]["mem_total"]) == (700, 1000)


def test_a_guest_that_stopped_is_forgotten(host: FakeHost) -> None:
    host.fast(reading("a", 10))
    host.fast()

    _, tick = host.fast(reading("a", 11), after_s=2)

    assert tick["guests"]["a"]["cpu"] is None


def test_a_driver_without_statistics_is_asked_once_and_shows_who_runs(host: FakeHost) -> None:
    host.supported = False

    done, tick = host.fast(active={"a": "web1"})

    assert done.statuses is None
    assert list(tick["guests"]) == ["a"]
    assert host.sampler.lacks == {"guest statistics", "CPU statistics"}


def test_steal_and_traffic_of_all_guests_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost(monkeypatch)
    host.fast(reading("a", delay_s=0), reading("b", delay_s=0))
    host.slow([reading("a", more=disk(1000)), reading("b", more=disk(0))])
    host.fast(reading("a", delay_s=1), reading("b", delay_s=0.5), after_s=2)
    given = {"balloon.current": 500}
    host.slow([reading("a", more=disk(3000, 40, 10) | given), reading("b", more=disk(1000, 20, 50) | given)], after_s=0)
    host.sampler.node()

    name, _, sums = host.sums[-1]
    assert name == "kvm1"
    assert sums.steal_s == pytest.approx(1.5)
    assert sums.vcpu_s == pytest.approx(8)
    assert (sums.guests, sums.vcpus) == (2, 4)
    assert sums.read == 1500
    assert sums.sent is None
    assert sums.requests == 30
    assert sums.request_s == pytest.approx(20 * 0.010 + 10 * 0.050)
    assert (sums.held_kib, sums.given_kib, sums.swapped) == (2 * 300, 2 * 500, None)


def test_memory_that_is_given_is_of_the_guests_that_run_and_tell_it(host: FakeHost) -> None:
    """It falls as soon as a balloon takes memory back, or a guest is off."""

    def given() -> int | None:
        host.sampler.node()
        return cast(HostSums, host.sums[-1][2]).given_kib

    host.fast(reading("a"), reading("b"), reading("c"))
    assert given() is None
    host.slow([reading("a", more={"balloon.current": 500}), reading("b", more={"balloon.current": 70}), reading("c")])
    assert given() == 570
    host.slow([reading("a", more={"balloon.current": 400})])
    host.fast(reading("a"), reading("c"))
    assert given() == 400


def disk(read: int, requests: int = 0, each_ms: int = 0) -> dict[str, int | str]:
    """And the memory that its process holds."""
    return {
        "block.count": 1, "block.0.name": "vda", "block.0.rd.bytes": read, "block.0.rd.reqs": requests,
        "block.0.rd.times": requests * each_ms * 1_000_000, "balloon.rss": 300,
    }  # fmt: skip


def test_the_cells_that_vcpus_were_seen_in_are_recorded_but_not_at_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost(monkeypatch)
    placed = host.with_cells(NumaCell(0, (0, 1), 0, ()), NumaCell(1, (2, 3), 0, ()))
    vcpus = [SimpleNamespace(number=number, cpu=cpu) for number, cpu in enumerate((0, 1, 2, None))]
    guest = cast(Guest, SimpleNamespace(uuid="a", vcpus=lambda: vcpus))
    host.fast(reading("a", vcpus=4))
    for _ in range(2):
        host.sampler.place([guest])
    assert [(told[0], told[2].uuid, told[3]) for told in placed] == [("kvm1", "a", {0: 2, 1: 1})]
    host.now += 30
    host.sampler.place([guest])
    assert len(placed) == 2


def test_a_tick_tells_when_the_cells_were_looked_at_once_the_look_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost(monkeypatch)
    history = Mock(spec=History)
    node = SimpleNamespace(
        cells=lambda: (NumaCell(0, (0,), 0, ()), NumaCell(1, (1,), 0, ())),
        cpu_stats=lambda per_cpu=False: NodeCpuStats(CpuTimes(-1, 0, 0, 0, 0)),
        memory_stats=lambda: NodeMemoryStats(MemoryUse(-1, 0, 0, 0, 0), ()),
    )
    host.sampler = Sampler(cast(HostConnection, SimpleNamespace(name="kvm1", node=node)), 7, history)

    assert host.fast(reading("a"))[1]["looked_at"] is None
    began_ms = host.now * 1000
    assert host.sampler.cells()
    assert host.fast(reading("a"), after_s=2)[1]["looked_at"] is None
    host.sampler.looked()
    assert host.fast(reading("a"), after_s=2)[1]["looked_at"] == began_ms


def test_a_guest_that_does_not_tell_where_it_is_keeps_nobody_from_being_found(host: FakeHost) -> None:
    def refused() -> None:
        raise HypervisorError.because("read the vCPUs of b", "kvm1")

    host.fast(reading("a"), reading("b"), reading("c"))
    placed = [VcpuPlacement(0, True, 0, 3)]
    told = {uuid: SimpleNamespace(uuid=uuid, vcpus=lambda: placed) for uuid in ("a", "b", "c")}
    host.with_cells()
    host.fast(reading("a"), reading("b"), reading("c"))
    host.sampler.place(cast(Sequence[Guest], [*told.values()]))
    told["b"].vcpus = refused
    host.sampler.place(cast(Sequence[Guest], [*told.values()]))

    assert host.fast(reading("a"), reading("b"), reading("c"))[1]["places"] == {"a": {"0": 3}, "c": {"0": 3}}

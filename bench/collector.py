"""The collector at scale: `make bench-collector`.

Real collectors (`manage.py collect`) with a real Redis, PostgreSQL and history store watch simulated hosts
(`bench.simulator`) with 50 guests each, all figures every 10 s, while five guests a second change their state. Measured
once everything is known: CPU and memory of the collectors, and how late rounds are, as browsers see it: from the pulses
that arrive in the fleet's Channels group. The fleet grows from case to case. With 1,000 hosts a tenth of them hang, and
the others are looked at again; for 2,000 a second collector joins in.

The simulator runs on the same machine; where it, the collectors and the stores together want more CPU than there is,
rounds are late for that reason, so the CPU of each is printed too.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import statistics
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from bench.collecting import ROOT, CollectorAtWork, stores
from bench.report import Figure, at_most, report
from bench.usage import Meter, descendants, peak_mib, yardstick_ms
from tests.polling import poll
from tests.services import Server, free_port

if TYPE_CHECKING:
    from bench.lateness import Pulses

GUESTS = 50
INTERVAL_S = 10
CHANGES_PER_S = 5
HUNG_SHARE = 0.1
KNOWN_S = 1800
STORE_S = 700
YARDSTICK_S = 5
NEW_SERIES = 1.001
"""By how much more series the store may know after twenty seconds, once it is settled."""


@dataclass(frozen=True, slots=True)
class Case:
    hosts: int
    collectors: int
    most_late_s: float
    hang: bool = False


CASES = (Case(250, 1, 2), Case(500, 1, 2), Case(1000, 1, 2, hang=True), Case(2000, 2, 5))
QUICK = (Case(50, 1, 2), Case(100, 1, 2, hang=True))


@dataclass(frozen=True, slots=True)
class Seen:
    """One window. CPU in shares of one core; `late_s` is the most of each host."""

    collectors: Sequence[float]
    others: Mapping[str, float]
    late_s: Mapping[int, float]
    samples_per_s: float


class Simulator(Server):
    def __init__(self, hosts: int) -> None:
        super().__init__("simulator")
        self.port = free_port("127.64.0.1")
        command = (sys.executable, "-m", "bench.simulator", "--hosts", str(hosts), "--guests", str(GUESTS))
        options = ("--port", str(self.port), "--changes", str(CHANGES_PER_S), "--hung", str(HUNG_SHARE))
        self._start("env", f"PYTHONPATH={ROOT}", *command, *options)
        self._wait()

    def _answers(self) -> bool:
        return "simulated hosts" in (self.directory / "log").read_text()

    def hang(self, hung: bool) -> None:
        """Have the share of hosts that may hang do so, or answer again."""
        os.kill(self.pid, signal.SIGUSR1 if hung else signal.SIGUSR2)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.collector")
    parser.add_argument("--quick", action="store_true", help="100 hosts at most, and short windows")
    parser.add_argument("--hosts", type=int, help="one case with so many hosts")
    parser.add_argument("--collectors", type=int, default=1)
    parser.add_argument("--window", type=float, help="how long is measured, in seconds")
    asked = parser.parse_args()
    cases: Sequence[Case] = QUICK if asked.quick else CASES
    if asked.hosts:
        cases = [Case(asked.hosts, asked.collectors, 2 if asked.collectors == 1 else 5, hang=asked.collectors == 1)]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to clear away whatever ends it
    with ExitStack() as stack:
        servers = stack.enter_context(stores(FAST_INTERVAL_S=INTERVAL_S, SLOW_INTERVAL_S=INTERVAL_S))
        from bench.lateness import Pulses

        pulses = Pulses()
        stack.callback(pulses.stop)
        simulator = Simulator(max(case.hosts for case in cases))
        stack.callback(simulator.stop)
        fleet = Fleet(simulator, servers, pulses, asked.window or (25 if asked.quick else 60))
        stack.callback(fleet.stop)
        figures = [figure for case in cases for figure in fleet.measure(case)]
    if len(fleet.per_host) > 1:
        figures.append(_growth(fleet.per_host))
    return 0 if report("collector", figures) else 1


class Fleet:
    """Grows from case to case: hosts are added and collectors started, and nothing is read twice."""

    def __init__(self, simulator: Simulator, servers: Mapping[str, Server], pulses: Pulses, window_s: float) -> None:
        self._simulator = simulator
        self._servers = {"simulator": simulator, **servers}
        self._pulses = pulses
        self._window_s = window_s
        self._hosts: list[int] = []
        self._collectors: list[CollectorAtWork] = []
        self.per_host: list[tuple[int, float]] = []
        """Hosts, and the CPU share of the one collector that watched them."""

    def stop(self) -> None:
        for one in self._collectors:
            one.stop()

    def measure(self, case: Case) -> list[Figure]:
        plural = "s" if case.collectors > 1 else ""
        what = f"{case.hosts:,} simulated hosts × {GUESTS} guests, {case.collectors} collector{plural}"
        print(f"\n{what}", flush=True)
        known_s = self._grow(case)
        seen = self._look(self._hosts)
        latest_s = max(seen.late_s.values())
        figures = [
            at_most(f"CPU, {what}: the busiest", 100 * max(seen.collectors), "% of a core", 60, "share"),
            at_most(f"memory, {what}", max(peak_mib(one.pid) for one in self._collectors), "MiB", 1024, "peak"),
            at_most(f"lateness of rounds, {what}", latest_s, "s", case.most_late_s, "most"),
            Figure(f"until all that is new is known, {what}", round(known_s, 1), "s", "–", True),
        ]
        if case.collectors == 1:
            self.per_host.append((case.hosts, seen.collectors[0]))
        if case.hang:
            figures += self._hang(what, max(case.most_late_s, latest_s), latest_s)
        return figures

    def _grow(self, case: Case) -> float:
        """How long it took until everything was known. Returns once all is quiet again."""
        begun = time.monotonic()
        self._hosts += _add_hosts(range(len(self._hosts) + 1, case.hosts + 1), self._simulator.port)
        while len(self._collectors) < case.collectors:
            self._collectors.append(CollectorAtWork())
        poll(lambda: _known(case.hosts), KNOWN_S, "all guests, definitions and volumes to be known")
        known_s = time.monotonic() - begun
        print(f"  all known after {known_s:.0f} s", flush=True)
        self._settle()
        return known_s

    def _settle(self) -> None:
        """Wait until the history store has met every series, which it does within ten minutes (the coarse copies), and
        has taken what had to wait for it, and until the collectors' CPU use stays about the same, for two minutes at
        most."""
        met, end = 0.0, time.monotonic() + STORE_S
        spool = Path(os.environ["VMDASH_DATA_DIR"]) / "spool"
        while time.monotonic() < end:
            now = _total("vm_new_timeseries_created_total")
            if now <= met * NEW_SERIES and not any(spool.glob("*/*.gz")):
                break
            met = now
            time.sleep(2 * INTERVAL_S)
        before = math.inf
        for _ in range(12):
            meters = [Meter(one.pid) for one in self._collectors]
            time.sleep(INTERVAL_S)
            used_s = sum(meter.used_s() for meter in meters)
            if used_s > 0.9 * before:
                return
            before = used_s

    def _hang(self, what: str, most_late_s: float, before_s: float) -> list[Figure]:
        self._simulator.hang(True)
        time.sleep(INTERVAL_S)
        others = [pk for number, pk in enumerate(self._hosts, 1) if number % round(1 / HUNG_SHARE)]
        sick = self._look(others)
        self._simulator.hang(False)
        meanwhile = f"{what}, {HUNG_SHARE:.0%} of the hosts hung"
        latest_s = max(sick.late_s.values())
        return [
            at_most(
                f"lateness of the others' rounds ({before_s:.2f} s before), {meanwhile}",
                latest_s,
                "s",
                most_late_s,
                "most",
            ),
            at_most(f"CPU, {meanwhile}", 100 * max(sick.collectors), "% of a core", 60, "share"),
        ]

    def _look(self, hosts: Sequence[int]) -> Seen:
        return _window(self._window_s, hosts, self._collectors, self._servers, self._pulses)


def _window(
    seconds: float,
    hosts: Sequence[int],
    collectors: Sequence[CollectorAtWork],
    others: Mapping[str, Server],
    pulses: Pulses,
) -> Seen:
    """Look on for so long."""
    begin = time.monotonic()
    meters = [Meter(one.pid) for one in collectors]
    other_meters = {name: Meter(*descendants(server.pid)) for name, server in others.items()}
    samples = _total("vm_rows_inserted_total")
    speeds_ms = []
    while time.monotonic() < begin + seconds:
        speeds_ms.append(yardstick_ms())
        time.sleep(min(YARDSTICK_S, max(0, begin + seconds - time.monotonic())))
    end = time.monotonic()
    took_s = end - begin
    seen = Seen(
        [meter.used_s() / took_s for meter in meters],
        {name: meter.used_s() / took_s for name, meter in other_meters.items()},
        pulses.lateness_s(hosts, begin, end, INTERVAL_S),
        (_total("vm_rows_inserted_total") - samples) / took_s,
    )
    for one in collectors:
        if one.has_ended():
            raise RuntimeError(f"A collector ended:\n{one.log[-4000:]}")
    shares = {**{f"collector {n}": share for n, share in enumerate(seen.collectors, 1)}, **seen.others}
    print("  CPU: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))
    print(f"  a fixed piece of work took {statistics.median(speeds_ms):.1f} ms of CPU time meanwhile")
    late = sorted(seen.late_s.values())
    print(
        f"  late: median {statistics.median(late):.2f} s, 99 % {late[int(len(late) * 0.99)]:.2f} s, "
        f"most {late[-1]:.2f} s; {seen.samples_per_s:,.0f} samples/s",
        flush=True,
    )
    return seen


def _growth(per_host: Sequence[tuple[int, float]]) -> Figure:
    """CPU of each host in the biggest fleet against the smallest: 1 is linear."""
    costs = [share / hosts for hosts, share in per_host]
    few, many = per_host[0][0], per_host[-1][0]
    return at_most(f"CPU per host with {many:,} hosts against {few:,}", costs[-1] / costs[0], "×", 1.2, "ratio")


# The fleet in the database


def _add_hosts(numbers: Iterable[int], port: int) -> list[int]:
    from bench.simulator.fleet import address
    from hosts.announce import announce_changed
    from hosts.models import Host

    rows = Host.objects.bulk_create(
        Host(name=f"sim-{n:05}", driver="qemu", transport="tcp", address=address(n), port=port, path="/system")
        for n in numbers
    )
    announce_changed(rows[-1].pk)
    return [row.pk for row in rows]


def _known(hosts: int) -> bool:
    """Whether everything is; after a second, since to count it takes the database's time."""
    from bench.simulator.guests import shapes
    from domains.models import Domain
    from hosts.models import Host
    from storage.models import Volume

    time.sleep(1)
    return (
        Host.objects.filter(state=Host.State.UP, cpus__gt=0).count() == hosts
        and Domain.objects.exclude(xml="").count() == hosts * GUESTS
        and Volume.objects.count() == hosts * sum(len(shape.disks) for shape in shapes(GUESTS))
    )


def _total(metric: str) -> float:
    """One of the history store's own figures, such as how many samples it has taken."""
    text = httpx.get(f"{os.environ['VMDASH_TSDB_URL']}/metrics").text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(metric))


if __name__ == "__main__":
    sys.exit(main())

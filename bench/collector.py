"""The collector at scale: `make bench-collector`.

Real collectors (`manage.py collect`) with a real Redis, PostgreSQL and history store watch simulated hosts
(`bench.simulator`) with 50 guests each, all figures every 10 s, while five guests a second change their state. Measured
once everything is known: CPU and memory of the collectors, and how late rounds are, as browsers see it: from the pulses
that arrive in the fleet's Channels group. Then a tenth of the hosts hang, and the others are looked at again.

The simulator runs on the same machine; where it, the collectors and the stores together want more CPU than there is,
rounds are late for that reason, so the CPU of each is printed too.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from bench.collecting import ROOT, CollectorAtWork, stores
from bench.report import Figure, at_most, report
from bench.usage import Meter, descendants, peak_mib
from tests.polling import poll
from tests.services import Server, free_port

if TYPE_CHECKING:
    from bench.lateness import Pulses

GUESTS = 50
INTERVAL_S = 10
CHANGES_PER_S = 5
HUNG_SHARE = 0.1


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

    def hang(self) -> None:
        os.kill(self.pid, signal.SIGUSR1)


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
    window_s = asked.window or (25 if asked.quick else 60)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to clear away whatever ends it
    figures: list[Figure] = []
    with stores(FAST_INTERVAL_S=INTERVAL_S, SLOW_INTERVAL_S=INTERVAL_S) as servers:
        from bench.lateness import Pulses

        pulses = Pulses()
        per_host: list[tuple[int, float]] = []
        try:
            for case in cases:
                figures += _measured(case, window_s, servers, pulses, per_host)
        finally:
            pulses.stop()
    if len(per_host) > 1:
        figures.append(_growth(per_host))
    return 0 if report("collector", figures) else 1


def _measured(
    case: Case, window_s: float, servers: Mapping[str, Server], pulses: Pulses, per_host: list[tuple[int, float]]
) -> list[Figure]:
    what = f"{case.hosts:,} simulated hosts × {GUESTS} guests, {case.collectors} collector{'s'[: case.collectors - 1]}"
    print(f"\n{what}", flush=True)
    with ExitStack() as stack:
        simulator = Simulator(case.hosts)
        stack.callback(simulator.stop)
        hosts = _add_hosts(case.hosts, simulator.port)
        begun = time.monotonic()
        collectors = [CollectorAtWork() for _ in range(case.collectors)]
        for one in collectors:
            stack.callback(one.stop)
        poll(lambda: _known(case.hosts), 600, "all guests, definitions and volumes to be known")
        known_s = time.monotonic() - begun
        print(f"  all known after {known_s:.0f} s", flush=True)
        time.sleep(INTERVAL_S)  # what had piled up meanwhile is done with
        processes = {"simulator": simulator} | dict(servers)
        seen = _window(window_s, hosts, collectors, processes, pulses)
        figures = [
            Figure(f"until everything of {what} is known", round(known_s, 1), "s", "–", True),
            at_most(f"CPU of {what}: the busiest", 100 * max(seen.collectors), "% of a core", 60, "share"),
            at_most(f"memory of {what}", max(peak_mib(one.pid) for one in collectors), "MiB", 1024, "peak"),
            at_most(f"rounds of {what}: late by", max(seen.late_s.values()), "s", case.most_late_s, "latest"),
        ]
        if case.collectors == 1:
            per_host.append((case.hosts, seen.collectors[0]))
        if case.hang:
            simulator.hang()
            time.sleep(INTERVAL_S)
            others = [pk for number, pk in enumerate(hosts, 1) if number % round(1 / HUNG_SHARE)]
            sick = _window(window_s, others, collectors, processes, pulses)
            latest_s = max(seen.late_s.values())
            figures.append(
                at_most(
                    f"the same with {HUNG_SHARE:.0%} of the hosts hung: rounds of the others are late by "
                    f"(before: {latest_s:.2f} s)",
                    max(sick.late_s.values()),
                    "s",
                    max(case.most_late_s, latest_s),
                    "latest",
                )
            )
            figures.append(at_most("CPU meanwhile", 100 * max(sick.collectors), "% of a core", 60, "share"))
    _clear()
    return figures


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
    samples = _samples()
    time.sleep(seconds)
    end = time.monotonic()
    took_s = end - begin
    seen = Seen(
        [meter.used_s() / took_s for meter in meters],
        {name: meter.used_s() / took_s for name, meter in other_meters.items()},
        pulses.lateness_s(hosts, begin, end, INTERVAL_S),
        (_samples() - samples) / took_s,
    )
    for one in collectors:
        if one._ended():
            raise RuntimeError(f"A collector ended:\n{one.log[-4000:]}")
    shares = {**{f"collector {n}": share for n, share in enumerate(seen.collectors, 1)}, **seen.others}
    print("  CPU: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))
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


def _add_hosts(count: int, port: int) -> list[int]:
    from bench.simulator.fleet import address
    from hosts.models import Host

    rows = Host.objects.bulk_create(
        Host(name=f"sim-{n:05}", driver="qemu", transport="tcp", address=address(n), port=port, path="/system")
        for n in range(1, count + 1)
    )
    return [row.pk for row in rows]


def _known(hosts: int) -> bool:
    from bench.simulator.guests import shapes
    from domains.models import Domain
    from hosts.models import Host
    from storage.models import Volume

    return (
        Host.objects.filter(state=Host.State.UP, cpus__gt=0).count() == hosts
        and Domain.objects.exclude(xml="").count() == hosts * GUESTS
        and Volume.objects.count() == hosts * sum(len(shape.disks) for shape in shapes(GUESTS))
    )


def _clear() -> None:
    from django.core.management import call_command

    from vmdash.live.redis import client

    call_command("flush", verbosity=0, interactive=False)
    client().flushdb()


def _samples() -> float:
    """How many the history store has taken."""
    text = httpx.get(f"{os.environ['VMDASH_TSDB_URL']}/metrics").text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("vm_rows_inserted_total"))


if __name__ == "__main__":
    sys.exit(main())

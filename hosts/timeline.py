"""The charts of hosts and of the fleet, and what happened to hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Q

from hosts.models import Host, HostEvent
from vmdash.jobs.models import Job
from vmdash.jobs.timeline import job_events
from vmdash.metrics.charts import Chart, Event, Line, in_own_colors
from vmdash.metrics.panel import MOST_EVENTS
from vmdash.metrics.query import labels, last_rate, narrowed, rate
from vmdash.metrics.ranges import Window

if TYPE_CHECKING:
    from vmdash.access.models import User

_TONES = {Host.State.UNREACHABLE: "bad", Host.State.REFUSED: "bad"}


def host_charts(host: Host, window: Window) -> list[Chart]:
    only = labels(host=host.name)
    charts = _charts(only, window, live=True, memory_bytes=host.memory_kib * 1024)
    cpu, steal, memory, guests, disk, network = charts
    of_guests = _Guests(only, window)
    return [
        cpu,
        steal,
        replace(memory, lines=(*memory.lines, of_guests.given(_Sums(only, window).given()))),
        *([_cell_cpus(only, window), _cells(only, window)] if len(host.cells) > 1 else []),
        of_guests.swap(),
        guests,
        disk,
        of_guests.operations(),
        of_guests.latency(),
        network,
    ]


def fleet_charts(hosts: Sequence[Host], window: Window, *, all_of_them: bool) -> list[Chart]:
    """Over these hosts together, each counted by its size."""
    only = "" if all_of_them else labels(host=[host.name for host in hosts])
    cpu, steal, memory, guests, disk, network = _charts(only, window, live=False, memory_bytes=0)
    sums = _Sums(only, window)
    memory = replace(memory, lines=(*memory.lines, sums.held(), sums.given()))
    return [cpu, steal, memory, sums.swap(), guests, disk, sums.operations(), sums.latency(), network]


def host_events(host: Host, user: User, window: Window) -> list[Event]:
    """Its connection and all jobs on it, in the order of time."""
    return _events([host], Q(host_name=host.name), user, window)


def fleet_events(hosts: Sequence[Host], user: User, window: Window) -> list[Event]:
    """The connections of these hosts, and jobs about whole hosts, in the order of time."""
    return _events(hosts, Q(), user, window)


def connections(hosts: Iterable[Host], window: Window) -> list[Event]:
    """When these hosts answered and when they did not, the newest `MOST_EVENTS`, in no order."""
    names = {host.pk: host.name for host in hosts}
    changes = HostEvent.objects.filter(host__in=names, at__gte=window.start, at__lte=window.end)
    return [_event(change, names[change.host_id]) for change in changes.order_by("-at")[:MOST_EVENTS]]


def _events(hosts: Sequence[Host], more: Q, user: User, window: Window) -> list[Event]:
    about = Q(target_kind="host", target_id__in=[str(host.pk) for host in hosts]) | more
    jobs = job_events(Job.objects.visible_to(user).filter(about), user, window)
    return sorted([*jobs, *connections(hosts, window)], key=lambda event: event.at)[-MOST_EVENTS:]


def _event(change: HostEvent, name: str) -> Event:
    state = Host.State(change.state)
    return Event(change.at, f"{name} {'is ' if state == Host.State.UP else ''}{state.label}", _TONES.get(state, ""))


def _charts(only: str, window: Window, *, live: bool, memory_bytes: int) -> list[Chart]:
    def level(metric: str, more: str = "") -> str:
        return f"avg_over_time({window.prefix}{metric}{narrowed(only, more)}[{window.over}])"

    def growth(metric: str, more: str = "") -> str:
        return rate(f"{window.prefix}{metric}{narrowed(only, more)}", window.over)

    def key(name: str) -> str:
        return name if live else ""

    cpu = "libvirt_node_cpu_seconds_total"
    total = f"sum({level('libvirt_node_memory_total_bytes')})"
    spare = [f"(sum({level(f'libvirt_node_memory_{kind}_bytes')}) or vector(0))" for kind in ("buffers", "cached")]
    used = f"({total} - sum({level('libvirt_node_memory_free_bytes')}) - {' - '.join(spare)})"
    busy, waiting = 'mode=~"user|system"', 'mode="iowait"'
    traffic = {"block": ("read", "write"), "network": ("receive", "transmit")}
    lines = {
        what: [f"sum({level(f'vmdash_host_{what}_{way}_bytes_per_second')})" for way in ways]
        for what, ways in traffic.items()
    }
    return [
        Chart(
            "cpu",
            "CPU",
            "percent",
            (
                Line("used", f"100 * sum({growth(cpu, busy)}) / sum({growth(cpu)})", "--cpu", live=key("cpu")),
                Line("waiting for I/O", f"100 * sum({growth(cpu, waiting)}) / sum({growth(cpu)})", "--warn"),
            ),
            note="of all CPUs" if live else "of all CPUs of all hosts",
            stacked=True,
            top=100,
        ),
        Chart(
            "steal",
            "Steal",
            "percent",
            (Line("guests wait for a CPU", _steal(only, window), "--steal", live=key("steal")),),
            note="of their vCPUs' time",
            spread=(Line("all guests", _steal(only, window.finest), "--steal"),),
        ),
        Chart(
            "memory",
            "Memory",
            "bytes",
            (
                Line("used, without cache", used, "--mem", live=key("mem"), scale=1024),
                Line("there is", total, "--faint", is_mark=True),
            ),
            top=memory_bytes or None,
        ),
        Chart(
            "guests",
            "Active guests",
            "number",
            (
                Line("guests", f"sum({level('vmdash_host_guests')})", "--accent", live=key("running")),
                Line("their vCPUs", f"sum({level('vmdash_host_vcpus')})", "--mem"),
            ),
        ),
        Chart(
            "disk",
            "Disks of the guests",
            "per_second",
            (Line("read", lines["block"][0], "--disk"), Line("written", lines["block"][1], "--warn")),
        ),
        Chart(
            "network",
            "Network of the guests",
            "per_second",
            (Line("received", lines["network"][0], "--net"), Line("sent", lines["network"][1], "--accent")),
        ),
    ]


def _steal(only: str, window: Window) -> str:
    def growth(what: str) -> str:
        return rate(f"{window.prefix}vmdash_host_{what}_seconds_total{only}", window.over)

    return f"(100 * sum({growth('steal')}) / sum({growth('vcpu')}))"


class _Sums:
    """What the collector has summed over the guests of each host."""

    def __init__(self, only: str, window: Window) -> None:
        self._only, self._window = only, window

    def _level(self, what: str) -> str:
        return f"sum(avg_over_time({self._window.prefix}vmdash_host_{what}{self._only}[{self._window.over}]))"

    def held(self) -> Line:
        return Line("held by guests", self._level("guest_memory_bytes"), "--disk")

    def given(self) -> Line:
        return Line("given (balloon)", self._level("guest_balloon_bytes"), "--accent", is_mark=True)

    def swap(self) -> Chart:
        return _swap(Line("in and out", self._level("swap_bytes_per_second"), "--mem"))

    def operations(self) -> Chart:
        return _operations(Line("reads and writes", self._level("block_requests_per_second"), "--disk"))

    def latency(self) -> Chart:
        mean = f"({self._level('block_request_seconds_per_second')} / ({self._level('block_requests_per_second')} > 0))"
        return _latency(Line("read or write", mean, "--warn"))


class _Guests:
    """Sums over the counters of each guest of a host: the guests of a whole fleet would be too many to read."""

    def __init__(self, only: str, window: Window) -> None:
        self._only, self._window = only, window

    def _growth(self, what: str) -> str:
        series = f"{self._window.prefix}libvirt_domain_{what}_total{self._only}"
        return f"sum({rate(series, self._window.over)})"

    def given(self, summed: Line) -> Line:
        """The collector's sum, and their own for times from which that is not there: it was not always recorded."""
        series = f"{self._window.prefix}libvirt_domain_info_memory_usage_bytes{self._only}"
        own = f"sum(avg_over_time({series}[{self._window.over}]))"
        return replace(summed, expression=f"({summed.expression} or {own})")

    def swap(self) -> Chart:
        return _swap(
            Line("in", self._growth("memory_stats_swap_in_bytes"), "--mem"),
            Line("out", self._growth("memory_stats_swap_out_bytes"), "--warn"),
        )

    def operations(self) -> Chart:
        return _operations(
            Line("reads", self._growth("block_stats_read_requests"), "--disk"),
            Line("writes", self._growth("block_stats_write_requests"), "--warn"),
        )

    def latency(self) -> Chart:
        def mean(what: str) -> str:
            requests = self._growth(f"block_stats_{what}_requests")
            return f"({self._growth(f'block_stats_{what}_time_seconds')} / ({requests} > 0))"

        return _latency(Line("read", mean("read"), "--disk"), Line("write", mean("write"), "--warn"))


def _swap(*lines: Line) -> Chart:
    return Chart("swap", "Swap inside the guests", "per_second", lines, note="as their balloon drivers tell")


def _operations(*lines: Line) -> Chart:
    return Chart("operations", "Disk operations of the guests", "each_second", lines)


def _latency(*lines: Line) -> Chart:
    return Chart("latency", "Disk latency of the guests", "seconds", lines, note="mean of a request")


_Reading = Callable[[str], str]
"""What is made of a series."""
_Over = Callable[[str, str], str]
"""The same, over so long."""


def _seldom(only: str, window: Window, figure: Callable[[_Reading], str], mean: _Over, last: _Over) -> str:
    """A figure of what is read as seldom as cells are, of what `mean` makes of each series. A collector with many
    guests looks at cells more seldom still: the last look, which `last` makes, is carried on then, as long as the host
    itself answers."""
    over_s, long_s = max(window.over_s, 4 * settings.PLACES_INTERVAL_S), 40 * settings.PLACES_INTERVAL_S
    usual = figure(lambda series: mean(series, f"{over_s}s"))
    if over_s >= long_s:
        return usual
    carried = figure(lambda series: last(series, f"{long_s}s"))
    return f"({usual} or ({carried} and on () count(count_over_time({window.prefix}libvirt_up{only}[{over_s}s]))))"


def _cells(only: str, window: Window) -> Chart:
    def taken(read: _Reading) -> str:
        total, free = (
            f"sum by (cell) ({read(f'{window.prefix}libvirt_node_cell_memory_{kind}_bytes{only}')})"
            for kind in ("total", "free")
        )
        return f"(100 * ({total} - {free}) / {total})"

    def mean(series: str, over: str) -> str:
        return f"avg_over_time({series}[{over}])"

    def last(series: str, over: str) -> str:
        return f"last_over_time({series}[{over}])"

    shown = _seldom(only, window, taken, mean, last)
    return _by_cell("cells", "Memory of the NUMA cells", shown, "--mem", "taken, with cache")


def _cell_cpus(only: str, window: Window) -> Chart:
    def used(read: _Reading) -> str:
        busy, all_of_it = (
            f"sum by (cell) ({read(f'{window.prefix}libvirt_node_cell_cpu_seconds_total{narrowed(only, more)}')})"
            for more in ('mode=~"user|system"', "")
        )
        return f"(100 * {busy} / {all_of_it})"

    shown = _seldom(only, window, used, rate, last_rate)
    return _by_cell("cell_cpus", "CPUs of the NUMA cells", shown, "--cpu", "used")


def _by_cell(key: str, title: str, shown: str, color: str, note: str) -> Chart:
    line = Line("", shown, color, by="cell", fold=in_own_colors("cell {}"))
    return Chart(key, title, "percent", (line,), note=note, top=100)

"""The charts of a guest's page, out of the counters that its hosts told."""

from __future__ import annotations

from itertools import cycle

from django.conf import settings

from domains.models import Domain
from vmdash.metrics.charts import Chart, Line, Unit
from vmdash.metrics.query import labels, narrowed, other_than, rate
from vmdash.metrics.ranges import Window
from vmdash.virt.xml.throttle import Throttle, throttles

MOST_VCPUS = 16
"""More are not drawn one by one."""
_OF_GROUPS = ("--accent", "--net", "--cpu")
"""Colours of what disks with one limit do together."""


def guest_charts(guest: Domain, window: Window) -> list[Chart]:
    source = Source(labels(uuid=str(guest.pk)), window)
    disks = Disks(source, guest)
    return [
        _cpu(source),
        *([_vcpus(source, guest)] if guest.max_vcpus > 1 else []),
        _memory(source, guest),
        _swap(source),
        disks.bytes(),
        disks.operations(),
        disks.latency(),
        _network(source),
        _losses(source),
    ]


class Source:
    """Expressions over one guest. One that moved has series of several hosts: the newest counts, or all together."""

    def __init__(self, only: str, window: Window) -> None:
        self._only, self._window = only, window
        self._over, self._prefix = window.over, window.prefix
        self._seldom = f"{max(window.over_s, 3 * settings.PLACES_INTERVAL_S)}s"

    def _counter(self, metric: str) -> str:
        return rate(f"{self._prefix}libvirt_domain_{metric}{self._only}", self._over)

    def rate(self, metric: str) -> str:
        return f"sum({self._counter(metric)})"

    def rate_by(self, label: str, metric: str) -> str:
        return f"sum by ({label}) ({self._counter(metric)})"

    def narrowed(self, more: str) -> Source:
        """Over less of the guest."""
        return Source(narrowed(self._only, more), self._window)

    def rate_of(self, series: str, *, by: str) -> str:
        """Of a counter of ours, whose name does not begin as libvirt's do."""
        return f"sum by ({by}) ({rate(f'{self._prefix}{series}{self._only}', self._over)})"

    def seen(self, series: str, *, by: str) -> str:
        """The mean of a figure of ours that is looked at seldom."""
        return f"sum by ({by}) (avg_over_time({self._prefix}{series}{self._only}[{self._seldom}]))"

    def level(self, metric: str) -> str:
        return f"max(avg_over_time({self._prefix}libvirt_domain_{metric}{self._only}[{self._over}]))"


def _cpu(source: Source) -> Chart:
    vcpus = source.level("info_virtual_cpus")
    return Chart(
        "cpu",
        "CPU and steal",
        "percent",
        (
            Line("CPU", f"100 * {source.rate('info_cpu_time_seconds_total')} / {vcpus}", "--cpu", live="cpu"),
            Line("steal", f"100 * {source.rate('vcpu_delay_seconds_total')} / {vcpus}", "--steal", live="steal"),
        ),
        note="of its vCPUs",
        stacked=True,
        top=100,
    )


def _vcpus(source: Source, guest: Domain) -> Chart:
    used, lost = "vcpu_time_seconds_total", "vcpu_delay_seconds_total"
    if guest.max_vcpus <= MOST_VCPUS:
        return Chart(
            "vcpus",
            "Each vCPU",
            "percent",
            (
                Line("vCPU {}", f"100 * {source.rate_by('vcpu', used)}", "--cpu", by="vcpu"),
                Line("steal of {}", f"100 * {source.rate_by('vcpu', lost)}", "--steal", by="vcpu"),
            ),
            note="of one CPU, stacked",
            stacked=True,
        )
    return Chart(
        "vcpus",
        "Busiest and worst vCPU",
        "percent",
        (
            Line("CPU of the busiest", f"100 * max({source.rate_by('vcpu', used)})", "--cpu"),
            Line("steal of the worst", f"100 * max({source.rate_by('vcpu', lost)})", "--steal"),
        ),
        note="of one CPU",
        top=100,
    )


def _memory(source: Source, guest: Domain) -> Chart:
    used = f"({source.level('memory_stats_available_bytes')} - {source.level('memory_stats_usable_bytes')})"
    return Chart(
        "memory",
        "Memory",
        "bytes",
        (
            Line("used", used, "--mem", live="mem", scale=1024),
            Line("held on the host", source.level("memory_stats_rss_bytes"), "--disk", live="rss", scale=1024),
            Line("given (balloon)", source.level("info_memory_usage_bytes"), "--faint", is_mark=True),
        ),
        top=guest.max_memory_kib * 1024 or None,
    )


def _swap(source: Source) -> Chart:
    return Chart(
        "swap",
        "Swap inside the guest",
        "per_second",
        (
            Line("in", source.rate("memory_stats_swap_in_bytes_total"), "--mem"),
            Line("out", source.rate("memory_stats_swap_out_bytes_total"), "--warn"),
        ),
        note="as its balloon driver tells",
    )


class Disks:
    """The charts of its disks: of all together, unless a limit of some of them is to be drawn."""

    def __init__(self, source: Source, guest: Domain) -> None:
        self._source = source
        self._limits = throttles(guest.xml)
        self._media = [disk["target"] for disk in guest.disks if disk.get("device") in ("cdrom", "floppy")]
        self._disks = {disk["target"] for disk in guest.disks} - set(self._media)

    def bytes(self) -> Chart:
        limits = [limit for limit in self._limits if limit.is_bytes]
        lines: tuple[Line, ...] = (
            Line("read", self._source.rate("block_stats_read_bytes_total"), "--disk", live="rd"),
            Line("written", self._source.rate("block_stats_write_bytes_total"), "--warn", live="wr"),
        )
        if self._are_of_some(limits):
            lines = self._each("bytes", ("read", "written"), limits)
        return self._chart("disk", "Disks", "per_second", lines, limits)

    def operations(self) -> Chart:
        limits = [limit for limit in self._limits if not limit.is_bytes]
        lines: tuple[Line, ...] = (
            Line("reads", self._source.rate("block_stats_read_requests_total"), "--disk"),
            Line("writes", self._source.rate("block_stats_write_requests_total"), "--warn"),
        )
        if self._are_of_some(limits):
            lines = self._each("requests", ("reads", "writes"), limits)
        flushes = Line("flushes", self._source.rate("block_stats_flush_requests_total"), "--mem")
        return self._chart("operations", "Disk operations", "each_second", (*lines, flushes), limits)

    def _are_of_some(self, limits: list[Throttle]) -> bool:
        return any(not self._disks <= set(limit.disks) for limit in limits)

    def _chart(self, key: str, title: str, unit: Unit, lines: tuple[Line, ...], limits: list[Throttle]) -> Chart:
        return Chart(key, title, unit, lines, limits=tuple((limit.words, limit.value) for limit in limits))

    def _each(self, figure: str, words: tuple[str, str], limits: list[Throttle]) -> tuple[Line, ...]:
        """Lines for each disk, and for those of a group together, so that each limit has the one that it holds down."""

        def rates(source: Source) -> list[str]:
            return [source.rate_by("target_device", f"block_stats_{way}_{figure}_total") for way in ("read", "write")]

        disks = self._source.narrowed(other_than("target_device", self._media)) if self._media else self._source
        lines = [
            Line(f"{{}} {word}", expression, color, by="target_device")
            for word, expression, color in zip(words, rates(disks), ("--disk", "--warn"), strict=True)
        ]
        if held := [disk for limit in limits if limit.counted == "all" and not limit.group for disk in limit.disks]:
            together = " + ".join(rates(self._source.narrowed(labels(target_device=held))))
            lines.append(Line("{} in all", f"({together})", "--accent", by="target_device"))
        for limit, color in zip((limit for limit in limits if limit.group), cycle(_OF_GROUPS), strict=False):
            read, written = (f"sum({each})" for each in rates(self._source.narrowed(labels(target_device=limit.disks))))
            expression = {"all": f"({read} + {written})", "reads": read, "writes": written}[limit.counted]
            word = {"all": "in all", "reads": words[0], "writes": words[1]}[limit.counted]
            lines.append(Line(f"group {limit.group} {word}", expression, color))
        return tuple(lines)

    def latency(self) -> Chart:
        def mean(what: str) -> str:
            spent = self._source.rate_by("target_device", f"block_stats_{what}_time_seconds_total")
            requests = self._source.rate_by("target_device", f"block_stats_{what}_requests_total")
            return f"({spent} / ({requests} > 0))"

        return Chart(
            "latency",
            "Disk latency",
            "seconds",
            (
                Line("{} read", mean("read"), "--disk", by="target_device"),
                Line("{} write", mean("write"), "--warn", by="target_device"),
            ),
            note="mean of a request",
        )


def _network(source: Source) -> Chart:
    return Chart(
        "network",
        "Network",
        "per_second",
        (
            Line("received", source.rate("interface_stats_receive_bytes_total"), "--net", live="rx"),
            Line("sent", source.rate("interface_stats_transmit_bytes_total"), "--accent", live="tx"),
        ),
    )


def _losses(source: Source) -> Chart:
    def lost(way: str) -> str:
        errors = source.rate(f"interface_stats_{way}_errors_total")
        return f"({source.rate(f'interface_stats_{way}_drops_total')} + {errors})"

    return Chart(
        "losses",
        "Network drops and errors",
        "each_second",
        (Line("received", lost("receive"), "--net"), Line("sent", lost("transmit"), "--bad")),
        note="packets",
    )

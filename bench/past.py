"""The past of a guest and its host, written into the history store by its import interface."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import httpx

from vmdash.metrics.coarse import Coarse
from vmdash.metrics.lines import WRITE_PATH, guest_lines, node_lines
from vmdash.metrics.sums import HostSums, sum_lines
from vmdash.virt.counters import Counters
from vmdash.virt.node import CpuTimes, MemoryUse
from vmdash.virt.stats import GuestStats

INTERVAL_S = 10
_BATCH = 20_000
_GIB_KIB = 1024**2
_NS = 10**9


def write(url: str, texts: Iterator[str]) -> int:
    """Send them to the store. Returns how many rows they are."""
    sent, batch = 0, []
    with httpx.Client(base_url=url, timeout=60) as store:
        for text in texts:
            batch.append(text)
            if len(batch) == _BATCH:
                sent += _send(store, batch)
        sent += _send(store, batch)
        store.get("/internal/force_flush")
    return sent


def _send(store: httpx.Client, batch: list[str]) -> int:
    content = "".join(batch)
    store.post(WRITE_PATH, content=content).raise_for_status()
    batch.clear()
    return content.count("\n")


def guest_past(
    host: str, uuid: str, name: str, begin_s: int, end_s: int, *, vcpus: int = 2, interval_s: int = INTERVAL_S
) -> Iterator[str]:
    """A guest that works by day and rests by night, as the collector would have written it: two disks, one card."""
    chance = random.Random(uuid)
    coarse = Coarse()
    cpu: dict[str, float] = dict.fromkeys(("used", *(f"used{n}" for n in range(vcpus))), 0)
    lost = [0.0] * vcpus
    counters = dict.fromkeys(("rd", "wr", "rx", "tx"), 0.0)
    for at in range(begin_s, end_s, interval_s):
        day = 0.5 + 0.4 * math.sin(2 * math.pi * (at % 86_400) / 86_400)
        for n in range(vcpus):
            share = max(0.0, min(0.95, day * chance.uniform(0.5, 1.2)))
            waits = max(0.0, chance.gauss(0.06, 0.05)) * day
            cpu[f"used{n}"] += share * interval_s
            lost[n] += min(waits, 1 - share) * interval_s
            cpu["used"] += share * interval_s
        for key, most in (("rd", 4e6), ("wr", 9e6), ("rx", 2e6), ("tx", 6e6)):
            counters[key] += day * chance.random() * most * interval_s
        fast = GuestStats(uuid, name, Counters.of(_cpu(cpu, lost, vcpus)))
        slow = GuestStats(uuid, name, Counters.of(_rest(counters, day, chance)))
        yield coarse.with_copy(uuid, at * 1000, guest_lines(host, [(at * 1000, fast), (at * 1000, slow)]))


def host_past(host: str, begin_s: int, end_s: int, *, cpus: int = 8, interval_s: int = INTERVAL_S) -> Iterator[str]:
    """The host itself, with the sums over its guests."""
    chance = random.Random(host)
    coarse, sums = Coarse(), HostSums(steal_s=0.0)
    times = [0.0, 0.0, 0.0, 0.0]
    for at in range(begin_s, end_s, interval_s):
        day = 0.5 + 0.4 * math.sin(2 * math.pi * (at % 86_400) / 86_400)
        busy = max(0.02, day * chance.uniform(0.6, 1.1))
        for n, share in enumerate((busy * 0.8, busy * 0.2, max(0.0, 0.95 - busy), 0.05 * chance.random())):
            times[n] += share * cpus * interval_s
        sums.steal_s = (sums.steal_s or 0) + 0.4 * day * chance.random() * interval_s
        sums.vcpu_s += 24 * interval_s
        sums.guests, sums.vcpus = 10 + int(4 * day), 24
        sums.read, sums.written = int(day * 8e6 * chance.random()), int(day * 2e7 * chance.random())
        sums.received, sums.sent = int(day * 4e6 * chance.random()), int(day * 9e6 * chance.random())
        sums.requests, sums.swapped = day * 900 * chance.random(), int(day * 4e5 * chance.random())
        sums.request_s = sums.requests * 0.004 * chance.uniform(0.3, 1.2)
        sums.held_kib, sums.given_kib = int((8 + 12 * day) * _GIB_KIB), 24 * _GIB_KIB
        cpu = CpuTimes(-1, *(int(seconds * _NS) for seconds in times))
        memory = MemoryUse(-1, 64 * _GIB_KIB, int((60 - 30 * day) * _GIB_KIB), _GIB_KIB // 4, 3 * _GIB_KIB)
        yield coarse.with_copy(host, at * 1000, node_lines(host, at * 1000, cpu, memory))
        yield coarse.with_copy(f"sums of {host}", at * 1000, sum_lines(host, at * 1000, sums))


def _cpu(used: dict[str, float], lost: list[float], vcpus: int) -> dict[str, int]:
    raw = {"cpu.time": int(used["used"] * 1.03 * _NS), "vcpu.current": vcpus, "vcpu.maximum": vcpus}
    for n in range(vcpus):
        raw |= {
            f"vcpu.{n}.state": 1,
            f"vcpu.{n}.time": int(used[f"used{n}"] * _NS),
            f"vcpu.{n}.delay": int(lost[n] * _NS),
            f"vcpu.{n}.wait": 0,
        }
    return raw


def _rest(counters: dict[str, float], day: float, chance: random.Random) -> dict[str, int | str]:
    available = 4 * _GIB_KIB
    raw: dict[str, int | str] = {
        "balloon.maximum": available,
        "balloon.current": available,
        "balloon.rss": int(available * (0.5 + 0.3 * day)),
        "balloon.available": int(available * 0.97),
        "balloon.unused": int(available * 0.2),
        "balloon.usable": int(available * (0.7 - 0.3 * day - 0.03 * chance.random())),
        "balloon.swap_in": int(counters["rd"] / 1e5),
        "balloon.swap_out": int(counters["wr"] / 2e5),
        "balloon.major_fault": int(counters["rd"] / 4e3),
        "block.count": 2,
        "net.count": 1,
        "net.0.name": "vnet7",
    }
    for n, share in ((0, 0.7), (1, 0.3)):
        raw[f"block.{n}.name"] = f"vd{'ab'[n]}"
        for way, size, spent in (("rd", 16_384, 400_000), ("wr", 8_192, 900_000)):
            requests = int(counters[way] * share / size)
            raw |= {
                f"block.{n}.{way}.bytes": int(counters[way] * share),
                f"block.{n}.{way}.reqs": requests,
                f"block.{n}.{way}.times": requests * spent,
            }
        raw |= {f"block.{n}.fl.reqs": int(counters["wr"] / 1e6), f"block.{n}.fl.times": int(counters["wr"])}
        raw |= {f"block.{n}.{key}": 20 * 1024**3 for key in ("allocation", "capacity", "physical")}
    for way in ("rx", "tx"):
        raw |= {f"net.0.{way}.bytes": int(counters[way]), f"net.0.{way}.pkts": int(counters[way] / 900)}
        raw |= {f"net.0.{way}.errs": 0, f"net.0.{way}.drop": int(counters[way] / 1e8)}
    return raw

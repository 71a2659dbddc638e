"""Steal as it is shown, against what the kernel counts for the vCPU's thread; and who is blamed for it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator

import orjson
import pytest

from hosts.collector.sampling import Sampler
from hosts.connect import connected
from hosts.models import Host
from hosts.portation import import_hosts
from tests.polling import poll
from vmdash.lab.inventory import inventory
from vmdash.lab.layout import Lab
from vmdash.lab.qemu_host import QemuHost
from vmdash.live.messages import Tick
from vmdash.virt.connection import HostConnection
from vmdash.virt.node import CpuTimes, MemoryUse
from vmdash.virt.stats import GuestStats

pytestmark = [pytest.mark.lab, pytest.mark.django_db(transaction=True)]

BURNERS = ("ci-7", "build-2")
IDLE = "web1"
LAST_CPU = max(os.sched_getaffinity(0))


class NoHistory:
    """Takes the counters and forgets them."""

    def guests(self, host: str, read: object) -> None: ...

    def node(
        self, host: str, at_ms: int, cpu: CpuTimes | None, memory: MemoryUse | None, cpu_at_ms: int | None = None
    ) -> None: ...

    def cells(self, host: str, at_ms: int, times: object, memory: object) -> None: ...

    def placed(self, host: str, at_ms: int, guest: GuestStats, cells: object) -> None: ...

    def taken(self, host: str, at_ms: int, guest: GuestStats, seconds: object) -> None: ...

    def sums(self, host: str, at_ms: int, sums: object) -> None: ...


class Watched:
    """kvm1, read as the collector does."""

    def __init__(self, connection: HostConnection, kvm1: QemuHost) -> None:
        self.connection = connection
        self.uuids = {name: kvm1.virsh("domuuid", name).strip() for name in (*BURNERS, IDLE)}
        self.sampler = Sampler(connection, 1, NoHistory())

    def round(self) -> Tick:
        """One of the fast tier, and who took what."""
        tick: Tick = orjson.loads(self.sampler.fast(2, 0, {}).tick)
        wanted = self.sampler.contended()
        if wanted is not None:
            self.sampler.place([self.connection.guest(uuid) for uuid in wanted])
            self.sampler.attribute()
        return tick


def _thread(kvm1: QemuHost, name: str) -> int:
    found = re.search(r"thread_id=(\d+)", kvm1.virsh("qemu-monitor-command", name, "--hmp", "info cpus"))
    assert found is not None
    return int(found[1])


def _waited_s(kvm1: QemuHost, thread: int) -> float:
    """The kernel's own count: time it was runnable and had no CPU."""
    return int(kvm1.run(["cat", f"/proc/{thread}/schedstat"]).split()[1]) / 1e9


@pytest.fixture
def kvm1(lab_hosts: dict[str, QemuHost]) -> Iterator[QemuHost]:
    """Its burners want the last CPU as much as others do, and an idle guest is pinned there, too."""
    host = lab_hosts["kvm1"]
    threads = [_thread(host, name) for name in BURNERS]
    host.virsh("vcpupin", IDLE, "0", str(LAST_CPU), "--live")
    for thread in threads:
        host.run(["chrt", "--other", "--pid", "0", str(thread)])
    yield host
    for thread in threads:
        host.run(["chrt", "--idle", "--pid", "0", str(thread)])
    host.virsh("vcpupin", IDLE, "0", f"0-{LAST_CPU}", "--live")


@pytest.fixture
def watched(lab: Lab, kvm1: QemuHost) -> Iterator[Watched]:
    import_hosts(user=None, entries=inventory(lab))
    with connected(Host.objects.select_related("credential").get(name="kvm1")) as connection:
        yield Watched(connection, kvm1)


def _seconds_pass(seconds: float) -> float:
    """Steal is a share of time, so time must pass. Returns when it has."""
    end = time.monotonic() + seconds
    poll(lambda: time.monotonic() >= end, 30, "time to pass")
    return time.monotonic()


@pytest.mark.parametrize("name", [BURNERS[0], IDLE])
def test_steal_is_what_the_kernel_counts_for_the_vcpu_s_thread(watched: Watched, kvm1: QemuHost, name: str) -> None:
    thread = _thread(kvm1, name)
    watched.round()
    before, began = _waited_s(kvm1, thread), time.monotonic()
    _seconds_pass(3)
    tick = watched.round()
    after, ended = _waited_s(kvm1, thread), time.monotonic()
    counted = 100 * (after - before) / (ended - began)
    shown = tick["guests"][watched.uuids[name]]["steal"]
    assert shown is not None
    assert shown == pytest.approx(counted, abs=2)
    assert (shown > 10) == (name in BURNERS)


def test_the_burner_is_blamed_and_the_idle_guest_is_not(watched: Watched) -> None:
    for _ in range(5):
        watched.round()
        _seconds_pass(1.5)
    blame = watched.round()["blames"][watched.uuids[BURNERS[0]]]
    taken = dict(blame["by"])
    other = watched.uuids[BURNERS[1]]
    assert blame["by"][0][0] == other, "the other burner comes first"
    assert taken[other] > 0.5 * blame["lost"]
    assert taken.get(watched.uuids[IDLE], 0) < 0.05 * blame["lost"]
    assert blame["sure"] > 0.7

"""Rows for the history store, out of what libvirt told."""

from __future__ import annotations

from vmdash.metrics.lines import Reading, guest_lines, node_lines
from vmdash.virt.counters import Counters
from vmdash.virt.node import CpuTimes, MemoryUse
from vmdash.virt.stats import GuestStats


def rows(cpu: dict[str, int | str], rest: dict[str, int | str]) -> list[str]:
    return guest_lines("kvm1", readings((5, cpu), (5, rest))).splitlines()


def readings(*told: tuple[int, dict[str, int | str]]) -> list[Reading]:
    return [(at_ms, GuestStats("u-1", "web1", Counters.of(one))) for at_ms, one in told]


def test_counters_that_share_their_labels_share_a_row() -> None:
    cpu: dict[str, int | str] = {"cpu.time": 7, "vcpu.current": 1, "vcpu.0.state": 1, "vcpu.0.delay": 9}
    rest: dict[str, int | str] = {"balloon.rss": 2, "block.0.name": "vda", "block.0.rd.reqs": 3, "net.0.name": "a b"}
    assert rows(cpu, {**rest, "net.0.rx.bytes": 4}) == [
        "libvirt_domain,host=kvm1,domain=web1,uuid=u-1 info_cpu_time_seconds_total=7e-9,info_virtual_cpus=1 5",
        "libvirt_domain,host=kvm1,domain=web1,uuid=u-1,vcpu=0 vcpu_state=1,vcpu_delay_seconds_total=9e-9 5",
        "libvirt_domain,host=kvm1,domain=web1,uuid=u-1 memory_stats_rss_bytes=2048 5",
        "libvirt_domain,host=kvm1,domain=web1,uuid=u-1,target_device=vda block_stats_read_requests_total=3 5",
        r"libvirt_domain,host=kvm1,domain=web1,uuid=u-1,target_device=a\ b interface_stats_receive_bytes_total=4 5",
    ]


def test_a_disk_without_a_name_has_a_row_all_the_same() -> None:
    assert rows({}, {"block.0.rd.reqs": 3}) == [
        "libvirt_domain,host=kvm1,domain=web1,uuid=u-1 block_stats_read_requests_total=3 5"
    ]


def test_what_is_not_told_has_no_row() -> None:
    assert rows({}, {"block.count": 0}) == []


def test_what_stays_the_same_may_be_left_out() -> None:
    cpu: dict[str, int | str] = {"vcpu.current": 1, "vcpu.0.state": 1, "vcpu.0.delay": 9}
    rest: dict[str, int | str] = {"balloon.maximum": 4, "balloon.rss": 2, "block.0.capacity": 8, "block.0.physical": 6}
    assert guest_lines("kvm1", readings((5, cpu), (5, rest)), steady=False).splitlines() == [
        "libvirt_domain,host=kvm1,domain=web1,uuid=u-1 info_virtual_cpus=1 5",
        "libvirt_domain,host=kvm1,domain=web1,uuid=u-1,vcpu=0 vcpu_delay_seconds_total=9e-9 5",
        "libvirt_domain,host=kvm1,domain=web1,uuid=u-1 memory_stats_rss_bytes=2048 5",
    ]


def test_each_part_has_the_time_of_its_own_reading() -> None:
    lines = guest_lines("kvm1", readings((5, {"cpu.time": 7}), (9, {"balloon.rss": 2}))).splitlines()
    assert [line.split()[-1] for line in lines] == ["5", "9"]


def test_one_reading_of_both_tiers_has_the_same_rows() -> None:
    cpu: dict[str, int | str] = {"cpu.time": 7, "vcpu.current": 1, "vcpu.0.delay": 9}
    rest: dict[str, int | str] = {"balloon.rss": 2, "block.0.name": "vda", "block.0.rd.reqs": 3}
    assert guest_lines("kvm1", readings((5, cpu | rest))).splitlines() == rows(cpu, rest)


def test_so_have_the_cpu_times_and_the_memory_of_a_host() -> None:
    lines = node_lines("kvm1", 9, CpuTimes(-1, 1, 2, 3, 4), MemoryUse(-1, 8, 4, None, None), cpu_at_ms=5).splitlines()
    assert {line.split()[-1] for line in lines if "cpu_seconds" in line} == {"5"}
    assert {line.split()[-1] for line in lines if "cpu_seconds" not in line} == {"9"}

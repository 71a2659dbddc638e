"""What a definition gives a guest, and the same in a shell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdash.virt.xml import parse
from vmdash.virt.xml.throttle import LIMITS, throttles
from vmdash.virt.xml.tuning import Tuning, Tunings, lacks_balloon, virsh_commands, without_shares

BARE = "<domain type='kvm'><name>a</name><memory unit='MiB'>64</memory><vcpu>2</vcpu></domain>"
TUNED = """<domain type='kvm'><name>a</name><memory unit='MiB'>64</memory><currentMemory>32768</currentMemory>
<vcpu current='1'>4</vcpu><cputune><shares>512</shares><vcpupin vcpu='0' cpuset='4-7'/></cputune>
<devices><disk><target dev='vda'/><iotune><total_iops_sec>500</total_iops_sec>
<total_iops_sec_max>900</total_iops_sec_max>
<read_bytes_sec>0</read_bytes_sec></iotune></disk><disk><target dev='vdb'/></disk>
<memballoon model='virtio'/></devices></domain>"""

LIMITED = st.dictionaries(st.sampled_from(sorted(LIMITS)), st.integers(1, 10**12), max_size=3)
TUNINGS = st.builds(
    Tuning,
    vcpus=st.none() | st.integers(1, 64),
    memory_kib=st.none() | st.integers(1, 10**9),
    cpu_shares=st.none() | st.integers(0, 10_000),
    disks=st.dictionaries(st.sampled_from(["vda", "vdb"]), LIMITED),
    groups=st.dictionaries(st.sampled_from(["vda", "vdb"]), st.sampled_from(["fast", "slow"])),
)


def test_what_a_definition_says_is_read() -> None:
    limits = {"total_iops_sec": 500, "total_iops_sec_max": 900}
    assert Tuning.parse(TUNED) == Tuning(1, 32768, 512, {"vda": limits, "vdb": {}})
    assert Tuning.parse(BARE) == Tuning(2, 65536, 0, {})


def test_a_limit_is_drawn_in_the_chart_and_a_burst_is_not() -> None:
    assert [(one.words, one.value, one.is_bytes) for one in throttles(TUNED)] == [("limit of vda", 500, False)]


def grouped(*names: str) -> str:
    """Disks with limits, each in the group of that name."""
    disks = "".join(
        f"<disk><target dev='vd{letter}'/><iotune><read_bytes_sec>5</read_bytes_sec><total_iops_sec>9</total_iops_sec>"
        f"<group_name>{name}</group_name></iotune></disk>"
        for letter, name in zip("abc", names, strict=False)
    )
    return f"<domain type='kvm'><name>a</name><devices>{disks}</devices></domain>"


def test_disks_of_a_group_have_their_limits_together() -> None:
    """Also where a number is the name of the group, which is no limit."""
    tuning = Tuning.parse(grouped("7", "slow", "7"))
    assert tuning.disks["vda"] == {"read_bytes_sec": 5, "total_iops_sec": 9}
    assert tuning.groups == {"vda": "7", "vdb": "slow", "vdc": "7"}
    assert [(one.words, one.value) for one in throttles(grouped("7", "slow", "7"))] == [
        ("limit of reads of group 7 (vda, vdc)", 5),
        ("limit of group 7 (vda, vdc)", 9),
        ("limit of reads of vdb", 5),
        ("limit of vdb", 9),
    ]


def test_a_disk_of_a_group_without_limits_of_its_own_has_those_of_the_others() -> None:
    """So an undo gives it those again, and does not take it out of the group."""
    bare = "<disk><target dev='{}'/><iotune><group_name>{}</group_name></iotune></disk>"
    disks = f"<devices>{bare.format('sda', 'fast')}{bare.format('sdb', 'empty')}"
    tuning = Tuning.parse(grouped("fast").replace("<devices>", disks))
    assert tuning.disks == {"sda": tuning.disks["vda"], "sdb": {}, "vda": {"read_bytes_sec": 5, "total_iops_sec": 9}}
    assert tuning.groups == {"sda": "fast", "sdb": "empty", "vda": "fast"}


@given(TUNINGS, TUNINGS)
def test_what_is_stored_is_read_again(now: Tuning, then: Tuning) -> None:
    assert Tunings.of(Tunings(now, then).stored()) == Tunings(now, then)


@given(TUNINGS, TUNINGS)
def test_what_is_kept_of_before_is_what_will_change(before: Tuning, wanted: Tuning) -> None:
    kept = before.about(wanted)
    assert (kept.vcpus is None) == (wanted.vcpus is None or before.vcpus is None)
    assert kept.disks.keys() == before.disks.keys() & wanted.disks.keys()
    assert kept.groups.keys() == before.groups.keys() & wanted.disks.keys()


def test_shares_are_taken_out_and_all_else_stays() -> None:
    root = parse(without_shares(TUNED))
    assert root.find("./cputune/shares") is None
    assert root.find("./cputune/vcpupin") is not None
    alone = "<domain><cputune><shares>512</shares></cputune></domain>"
    assert parse(without_shares(alone)).find("./cputune") is None


@pytest.mark.parametrize(
    ("balloon", "lacks"), [("<memballoon model='virtio'/>", False), ("<memballoon model='none'/>", True), ("", False)]
)
def test_whether_there_is_a_balloon(balloon: str, lacks: bool) -> None:
    assert lacks_balloon(f"<domain><devices>{balloon}</devices></domain>") == lacks


def test_the_same_in_a_shell() -> None:
    wanted = Tuning(vcpus=2, memory_kib=4096, cpu_shares=512, disks={"vda": {"read_bytes_sec": 5}, "vdb": {}})
    assert virsh_commands("a", wanted, live=True, persistent=True).split("; ") == [
        "virsh schedinfo a --set cpu_shares=512 --live --config",
        "virsh blkdeviotune a vda --read-bytes-sec 5 --live --config",
        "virsh blkdeviotune a vdb --total-bytes-sec 0 --total-iops-sec 0 --live --config",
        "virsh setmem a 4096 --live --config",
        "virsh setvcpus a 2 --live --config",
    ]
    back = Tuning(disks={"vda": {"read_bytes_sec": 5}, "vdb": {}}, groups={"vda": "a b", "vdb": "a b"})
    assert virsh_commands("a", back, live=True, persistent=False).split("; ") == [
        "virsh blkdeviotune a vda --read-bytes-sec 5 --group-name 'a b' --live",
        "virsh blkdeviotune a vdb --total-bytes-sec 0 --total-iops-sec 0 --live",
    ]
    assert virsh_commands("a", Tuning(vcpus=2), live=False, persistent=True) == "virsh setvcpus a 2 --config"

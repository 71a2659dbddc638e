"""Lists of CPUs, and the placement in a definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdash.virt import cpuset
from vmdash.virt.xml import parse
from vmdash.virt.xml.placement import Placement, virsh_commands, with_placement

BARE = "<domain type='kvm'><name>a</name><memory>1</memory><vcpu>2</vcpu><os><type>hvm</type></os></domain>"
PINNED = """<domain type='kvm'><name>a</name><vcpu cpuset='0-3'>2</vcpu>
<cputune><shares>512</shares><vcpupin vcpu='0' cpuset='4-7'/><emulatorpin cpuset='4'/></cputune>
<numatune><memory mode='preferred' nodeset='1'/><memnode cellid='0' mode='strict' nodeset='1'/></numatune>
<os><type>hvm</type></os></domain>"""

CPUS = st.lists(st.integers(0, 300), max_size=20)
PLACEMENTS = st.builds(
    lambda pins, emulator, cells: Placement(
        {number: tuple(sorted(set(cpus))) for number, cpus in pins.items() if cpus},
        tuple(sorted(set(emulator))),
        "strict" if cells else "",
        tuple(sorted(set(cells))),
    ),
    st.dictionaries(st.integers(0, 16), CPUS, max_size=4), CPUS, CPUS,
)  # fmt: skip


@given(CPUS)
def test_a_list_that_is_written_is_read_again(numbers: list[int]) -> None:
    assert cpuset.parse(cpuset.text_of(numbers)) == sorted(set(numbers))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0-3,8", [0, 1, 2, 3, 8]), ("0-3,^2", [0, 1, 3]), ("", []), ("x,1", [1]), ("0-999999999", []), ("2-", [])],
)
def test_lists_as_libvirt_writes_them(text: str, numbers: list[int]) -> None:
    assert cpuset.parse(text) == numbers


@given(PLACEMENTS)
def test_a_placement_that_is_written_is_read_again(wanted: Placement) -> None:
    for definition in (BARE, PINNED):
        assert Placement.parse(with_placement(definition, wanted)) == wanted
    assert Placement.of(wanted.stored()) == wanted


def test_all_else_stays_as_it_was() -> None:
    root = parse(with_placement(PINNED, Placement()))
    assert root.findtext("./cputune/shares") == "512"
    assert root.find("./numatune/memnode") is not None
    assert root.find("./cputune/vcpupin") is None
    assert root.find("./cputune/emulatorpin") is None


def test_new_sections_stand_where_libvirt_wants_them() -> None:
    root = parse(with_placement(BARE, Placement({0: (1,)}, (1,), "strict", (0,))))
    tags = [child.tag for child in root]
    assert tags.index("vcpu") < tags.index("cputune") < tags.index("numatune") < tags.index("os")


def test_the_same_in_a_shell() -> None:
    wanted = Placement({0: (4, 5)}, (4, 5), "strict", (1,))
    assert virsh_commands("web1", wanted, (0, 1, 2, 3, 4, 5), 2) == (
        "virsh vcpupin web1 0 4-5 --live --config; virsh vcpupin web1 1 0-5 --live --config; "
        "virsh emulatorpin web1 4-5 --live --config; virsh numatune web1 --mode strict --nodeset 1 --config"
    )
    movable = Placement(mode="restrictive", cells=(1,))
    assert virsh_commands("web1", movable, (0,), 1).endswith("--mode restrictive --nodeset 1 --live --config")

"""Lists of typed parameters, as libvirt has them in memory."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdash.virt import counters
from vmdash.virt.counters import Counters, Layout, Totals


class _Value(ctypes.Union):
    _fields_ = (
        *(("i", ctypes.c_int), ("ui", ctypes.c_uint), ("l", ctypes.c_longlong), ("ul", ctypes.c_ulonglong)),
        *(("d", ctypes.c_double), ("b", ctypes.c_char), ("s", ctypes.c_void_p)),
    )


class _Parameter(ctypes.Structure):
    """virTypedParameter"""

    _fields_ = (("field", ctypes.c_char * counters.FIELD_LENGTH), ("type", ctypes.c_int), ("value", _Value))


_FIELDS = {
    counters.INT: "i",
    counters.UINT: "ui",
    counters.LLONG: "l",
    counters.ULLONG: "ul",
    counters.DOUBLE: "d",
    counters.BOOLEAN: "b",
}
_VALUES = {
    counters.INT: st.integers(-(2**31), 2**31 - 1),
    counters.UINT: st.integers(0, 2**32 - 1),
    counters.LLONG: st.integers(-(2**63), 2**63 - 1),
    counters.ULLONG: st.integers(0, 2**64 - 1),
    counters.DOUBLE: st.floats(allow_nan=False),
    counters.BOOLEAN: st.booleans(),
}
_ONE = st.sampled_from(sorted(_VALUES)).flatmap(lambda kind: st.tuples(st.just(kind), _VALUES[kind]))


def in_memory(told: dict[str, tuple[int, object]]) -> bytes:
    parameters = (_Parameter * len(told))()
    for parameter, (name, (kind, value)) in zip(parameters, told.items(), strict=True):
        parameter.field, parameter.type = name.encode(), kind
        setattr(parameter.value, _FIELDS[kind], value)
    return bytes(parameters)


def read(told: dict[str, tuple[int, object]]) -> Counters:
    return counters.reading(in_memory(told), lambda _: "")


def test_the_structure_is_the_one_we_read() -> None:
    assert ctypes.sizeof(_Parameter) == counters.PARAMETER_BYTES


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}(\.[0-9])?", fullmatch=True), _ONE, max_size=6))
def test_each_value_is_read_as_the_type_it_was_told_in(told: dict[str, tuple[int, object]]) -> None:
    found = read(told)
    assert {name: found.get(name) for name in told} == {name: value for name, (_, value) in told.items()}
    assert found.get("never.told", 7) == 7


def test_strings_are_read_where_they_are() -> None:
    parameters = (_Parameter * 1)()
    parameters[0].field, parameters[0].type, parameters[0].value.s = b"net.0.name", counters.STRING, 4711
    found = counters.reading(bytes(parameters), {4711: "vnet5"}.__getitem__)
    assert found.get("net.0.name") == "vnet5"


def test_of_strings_only_names_are_kept() -> None:
    """The paths of disks would be read and thrown away, for every disk in every round."""
    parameters = (_Parameter * 2)()
    for parameter, field, address in zip(parameters, (b"block.0.name", b"block.0.path"), (1, 2), strict=True):
        parameter.field, parameter.type, parameter.value.s = field, counters.STRING, address
    found = counters.reading(bytes(parameters), {1: "vda"}.__getitem__)
    assert found.get("block.0.name") == "vda"
    assert found.get("block.0.path") is None


def test_hosts_that_make_up_names_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    layouts = counters.Layouts(50)
    monkeypatch.setattr(counters, "_layouts", layouts)
    for n in range(100):
        assert read({f"made.up.{n}": (counters.ULLONG, n)}).get(f"made.up.{n}") == n
        assert 0 < layouts.names <= 50


def test_readings_with_the_same_names_share_them() -> None:
    one, other = (read({"cpu.time": (counters.ULLONG, value)}) for value in (1, 2))
    assert one.layout is other.layout
    assert read({"cpu.time": (counters.INT, 1)}).layout is not one.layout


def test_what_is_to_be_read_is_worked_out_once_for_a_layout() -> None:
    asked: list[Layout] = []

    def number_of_names(layout: Layout) -> int:
        asked.append(layout)
        return len(layout.names)

    layout = Counters.of({"a": 1, "b": 2}).layout
    assert [layout.of(number_of_names) for _ in range(3)] == [2, 2, 2]
    assert asked == [layout]


@pytest.mark.parametrize(
    ("told", "totals"),
    [
        ({"cpu.time": 5, "block.0.rd.bytes": 1, "block.1.rd.bytes": 2}, (5, 3)),
        ({"cpu.time": 5, "block.0.rd.bytes": 1}, (5, 1)),
        ({"block.0.rd.bytes": 1}, (None, 1)),
        ({"block.0.rd.bytes": 1, "block.1.rd.bytes": 2, "block.7.rd.bytes": 2**64 - 1}, (None, 2**64 + 2)),
        ({"cpu.time": 5, "block.0.rd.bytes.max": 1}, (5, None)),
        ({}, (None, None)),
    ],
)
def test_totals_are_over_all_devices_and_none_of_what_is_not_told(
    told: dict[str, int], totals: tuple[int | None, ...]
) -> None:
    assert Counters.of(told).read(Totals("cpu.time", "block.*.rd.bytes")) == totals

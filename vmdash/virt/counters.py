"""A guest's counters as libvirt lists them: names, types and values, kept as small as they come.

Every round of a host brings thousands of counters whose names were all there the round before. So the names of a list
and their types, its ``Layout``, are kept once for all guests that have the same, and a reading is an array of numbers.
What is to be read from it is worked out once for each layout. Source: libvirt-common.h (virTypedParameter).
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from sys import intern
from typing import Any, TypeVar, overload

T = TypeVar("T")

INT, UINT, LLONG, ULLONG, DOUBLE, BOOLEAN, STRING = range(1, 8)
"""virTypedParameterType"""
FIELD_LENGTH = 80
"""VIR_TYPED_PARAM_FIELD_LENGTH"""
PARAMETER_BYTES = FIELD_LENGTH + 16
"""A virTypedParameter on 64-bit machines: the name, the type in a word of its own, the value in the last word."""

_WORD, _DOUBLE = struct.Struct("=Q"), struct.Struct("=d")
_NARROW = frozenset((INT, UINT, BOOLEAN))
_SHIFT = 0 if sys.byteorder == "little" else 32
"""Where in its word a number of 32 bits is."""
_SIGNED = {INT: 32, LLONG: 64}
_KINDS = {int: ULLONG, str: STRING, bool: BOOLEAN}
_MOST_NAMES = 400_000
"""In all layouts together. There are far fewer; hosts that make up names must not fill our memory."""


class Layout:
    """The names and types of a list of counters. Guests with as many vCPUs, disks and cards share one."""

    __slots__ = ("_made", "index", "kinds", "names", "narrow", "strings")

    def __init__(self, names: Sequence[str], kinds: Sequence[int]) -> None:
        self.names = [intern(name) for name in names]
        self.kinds = list(kinds)
        self.index = {name: n for n, name in enumerate(self.names)}
        self.narrow = [n for n, kind in enumerate(kinds) if kind in _NARROW]
        self.strings = [n for n, kind in enumerate(kinds) if kind == STRING]
        self._made: dict[Callable[[Layout], Any], Any] = {}

    def of(self, make: Callable[[Layout], T]) -> T:
        """What ``make`` makes of this layout, which is made once."""
        try:
            return self._made[make]  # type: ignore[no-any-return]
        except KeyError:
            made = self._made[make] = make(self)
            return made

    def numbers(self, prefix: str) -> list[int]:
        """Of the vCPUs, disks or cards that are told of: those N for which there is a PREFIX.N.SOMETHING."""
        pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\.")
        return sorted({int(found[1]) for name in self.names if (found := pattern.match(name))})


class Counters:
    """One reading. The words are as in libvirt; numbers of 32 bits have been put right."""

    __slots__ = ("layout", "strings", "words")

    def __init__(self, layout: Layout, words: array[int], strings: Mapping[int, str]) -> None:
        self.layout = layout
        self.words = words
        self.strings = strings
        """By their place in the list."""

    @classmethod
    def of(cls, told: Mapping[str, int | str | bool]) -> Counters:
        """Out of plain values: numbers as unsigned long long, as nearly all counters are."""
        kinds = tuple(_KINDS[type(one)] for one in told.values())
        words = array("Q", [0 if isinstance(one, str) else one for one in told.values()])
        strings = {n: one for n, one in enumerate(told.values()) if isinstance(one, str)}
        return cls(_layout_of(tuple(told), kinds), words, strings)

    @overload
    def get(self, name: str) -> Any | None: ...
    @overload
    def get(self, name: str, default: T) -> Any | T: ...
    def get(self, name: str, default: object = None) -> Any:
        """The value of that counter, of the type libvirt told it in."""
        n = self.layout.index.get(name)
        return default if n is None else self._value(n)

    def read(self, reader: Callable[[Layout], Callable[[array[int]], T]]) -> T:
        """What a reader, made for the layout, finds."""
        return self.layout.of(reader)(self.words)

    def _value(self, n: int) -> Any:
        kind = self.layout.kinds[n]
        if kind == STRING:
            return self.strings.get(n, "")
        if kind == BOOLEAN:
            return self.words[n] != 0
        if bits := _SIGNED.get(kind):
            return (self.words[n] ^ 1 << bits - 1) - (1 << bits - 1)
        if kind == DOUBLE:
            return _DOUBLE.unpack(_WORD.pack(self.words[n]))[0]
        return self.words[n]


class Totals:
    """A reader of several counters, unsigned ones: ``"cpu.time"``, or ``"block.*.rd.bytes"`` for the sum over all
    disks. None of what is not told."""

    def __init__(self, *names: str) -> None:
        self._patterns = [re.compile(re.escape(name).replace(r"\*", r"\d+")) for name in names]

    def __call__(self, layout: Layout) -> Callable[[array[int]], tuple[int | None, ...]]:
        found = [[n for n, name in enumerate(layout.names) if one.fullmatch(name)] for one in self._patterns]
        if any(len(places) > 1 for places in found):
            return lambda words: tuple([sum([words[n] for n in at]) if at else None for at in found])
        places = [at[0] if at else len(layout.names) for at in found]
        pick = picker(places)
        return pick if all(found) else lambda words: pick([*words, None])


def picker(places: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Takes what is at these places; `itemgetter` makes no tuple of a single one."""
    return itemgetter(*places) if len(places) > 1 else lambda words: tuple([words[n] for n in places])


def reading(raw: bytes, text_at: Callable[[int], str]) -> Counters:
    """A list of virTypedParameter, as it is in memory. ``text_at`` reads a string at an address."""
    words = array("Q", raw)
    size = PARAMETER_BYTES // 8
    values = words[size - 1 :: size]
    del words[size - 1 :: size]
    layout = _layout(words.tobytes())
    for n in layout.narrow:
        values[n] = values[n] >> _SHIFT & 0xFFFFFFFF
    return Counters(layout, values, {n: text_at(values[n]) for n in layout.strings} if layout.strings else _NOTHING)


_NOTHING: dict[int, str] = {}
_layouts: dict[object, Layout] = {}


def _layout(head: bytes) -> Layout:
    """By everything of a list but its values."""
    layout = _layouts.get(head)
    if layout is None:
        size = PARAMETER_BYTES - 8
        parts = [head[at : at + size] for at in range(0, len(head), size)]
        names = [part[:FIELD_LENGTH].partition(b"\0")[0].decode() for part in parts]
        kinds = [int.from_bytes(part[FIELD_LENGTH : FIELD_LENGTH + 4], sys.byteorder) for part in parts]
        layout = _remember(head, _layout_of(tuple(names), tuple(kinds)))
    return layout


def _layout_of(names: tuple[str, ...], kinds: tuple[int, ...]) -> Layout:
    return _layouts.get((names, kinds)) or _remember((names, kinds), Layout(names, kinds))


def _remember(key: object, layout: Layout) -> Layout:
    if sum(len(one.names) for one in _layouts.values()) + len(layout.names) > _MOST_NAMES:
        _layouts.clear()
    _layouts[key] = layout
    return layout

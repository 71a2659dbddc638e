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
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import add, itemgetter
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
_ZERO = array("Q", [0])
_Pick = Callable[[Sequence[Any]], tuple[Any, ...]]
_MOST_ALIKE = 200
"""Layouts with the same number of names."""
_MOST_NAMES = 400_000
"""Of all that are remembered together. There are far fewer; hosts that make up names must not fill our memory."""


class Layout:
    """The names and types of a list of counters. Guests with as many vCPUs, disks and cards share one.

    Of strings only those are kept that name a disk or card: nobody reads the others, such as the paths of disks.
    """

    __slots__ = ("_made", "index", "kinds", "names", "narrow", "strings")

    def __init__(self, names: Sequence[str], kinds: Sequence[int]) -> None:
        self.names = [intern(name) for name in names]
        self.kinds = list(kinds)
        self.index = {name: n for n, name in enumerate(self.names)}
        self.narrow = [n for n, kind in enumerate(kinds) if kind in _NARROW]
        self.strings = [n for n, kind in enumerate(kinds) if kind == STRING and self.names[n].endswith(".name")]
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
        return cls(_layouts.of_names(tuple(told), kinds), words, strings)

    @overload
    def get(self, name: str) -> Any | None: ...
    @overload
    def get(self, name: str, default: T) -> Any | T: ...
    def get(self, name: str, default: object = None) -> Any:
        """The value of that counter, of the type libvirt told it in."""
        n = self.layout.index.get(name)
        return default if n is None else self._value(n, default)

    def read(self, reader: Callable[[Layout], Callable[[array[int]], T]]) -> T:
        """What a reader, made for the layout, finds."""
        return self.layout.of(reader)(self.words)

    def _value(self, n: int, default: object) -> Any:
        kind = self.layout.kinds[n]
        if kind == STRING:
            return self.strings.get(n, default)
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
        nothing = len(layout.names)
        depth = max([1, *map(len, found)])
        picks = [picker([at[k] if k < len(at) else nothing for at in found]) for k in range(depth)]
        if len(picks) == 1 and all(found):
            return picks[0]
        return partial(_sums, picks, [n for n, at in enumerate(found) if not at])


class Part:
    """A reader of those counters whose names begin in one of these ways, as a reading of its own: the one that libvirt
    would have given, had it been asked for these alone. Strings are left out."""

    def __init__(self, *prefixes: str) -> None:
        self._prefixes = prefixes

    def __call__(self, layout: Layout) -> Callable[[array[int]], Counters]:
        places = [n for n, name in enumerate(layout.names) if name.startswith(self._prefixes)]
        part = _layouts.of_names(tuple(layout.names[n] for n in places), tuple(layout.kinds[n] for n in places))
        pick = picker(places)
        return lambda words: Counters(part, array("Q", pick(words)), _NOTHING)


def _sums(picks: Sequence[_Pick], untold: Iterable[int], words: array[int]) -> tuple[int | None, ...]:
    """The sums of what each pick takes, place by place. After the words there is a place for nothing to add."""
    padded = words + _ZERO
    sums: Iterable[int | None] = picks[0](padded)
    for pick in picks[1:]:
        sums = map(add, sums, pick(padded))
    told = [*sums]
    for n in untold:
        told[n] = None
    return tuple(told)


def picker(places: Sequence[int]) -> _Pick:
    """Takes what is at these places; `itemgetter` makes no tuple of a single one."""
    return itemgetter(*places) if len(places) > 1 else lambda words: tuple([words[n] for n in places])


def reading(raw: bytes, text_at: Callable[[int], str]) -> Counters:
    """A list of virTypedParameter, as it is in memory. ``text_at`` reads a string at an address."""
    words = array("Q", raw)
    size = PARAMETER_BYTES // 8
    values = words[size - 1 :: size]
    del words[size - 1 :: size]
    layout = _layouts.of_head(words.tobytes())
    for n in layout.narrow:
        values[n] = values[n] >> _SHIFT & 0xFFFFFFFF
    return Counters(layout, values, {n: text_at(values[n]) for n in layout.strings} if layout.strings else _NOTHING)


_NOTHING: dict[int, str] = {}


class Layouts:
    """Those that are remembered. For any thread: what two find at the same time is there twice, and serves as well."""

    def __init__(self, most_names: int) -> None:
        self._most_names = most_names
        self.clear()

    def clear(self) -> None:
        self._by_length: dict[int, list[tuple[bytes, Layout]]] = {}
        """With everything of a list but its values. To compare that takes a tenth of what it takes to hash it."""
        self._by_names: dict[tuple[tuple[str, ...], tuple[int, ...]], Layout] = {}
        self._names = 0

    @property
    def names(self) -> int:
        """How many are remembered."""
        return self._names

    def of_head(self, head: bytes) -> Layout:
        """By everything of a list but its values."""
        alike = self._by_length.get(len(head), ())
        for known, layout in alike:
            if known == head:
                return layout
        size = PARAMETER_BYTES - 8
        parts = [head[at : at + size] for at in range(0, len(head), size)]
        names = tuple(part[:FIELD_LENGTH].partition(b"\0")[0].decode() for part in parts)
        kinds = tuple(int.from_bytes(part[FIELD_LENGTH : FIELD_LENGTH + 4], sys.byteorder) for part in parts)
        layout = self.of_names(names, kinds)
        self._make_room(len(names))
        if len(alike) >= _MOST_ALIKE:  # somebody makes them up; to look through them all takes longer and longer
            self._by_length[len(head)] = []
        self._by_length.setdefault(len(head), []).append((head, layout))
        return layout

    def of_names(self, names: tuple[str, ...], kinds: tuple[int, ...]) -> Layout:
        layout = self._by_names.get((names, kinds))
        if layout is None:
            self._make_room(len(names))
            layout = self._by_names[names, kinds] = Layout(names, kinds)
        return layout

    def _make_room(self, names: int) -> None:
        if self._names + names > self._most_names:
            self.clear()
        self._names += names


_layouts = Layouts(_MOST_NAMES)

"""Statistics of many guests as libvirt gives them, without an object of libvirt-python for each guest and counter.

libvirt-python makes a ``virDomain`` of each record, and lets another thread run to read its name, to read its UUID and
to free it: with many connections at work, it is then some milliseconds until ours runs again, three times a guest. And
it makes a string of the name of each counter. So we ask libvirt itself.

Source: libvirt-domain.h (virDomainStatsRecord), as on 64-bit machines.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import libvirt

from vmdash.virt import counters, native
from vmdash.virt.counters import PARAMETER_BYTES, Counters

_RECORD = struct.Struct("@PPi0P")
"""virDomainStatsRecord: the guest, its counters, how many these are"""

_all_stats = ctypes.CFUNCTYPE(  # lets other threads run meanwhile
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.POINTER(ctypes.c_void_p), ctypes.c_uint
)(("virConnectGetAllDomainStats", native.library))
_stats_of = ctypes.CFUNCTYPE(  # so does this
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.POINTER(ctypes.c_void_p), ctypes.c_uint
)(("virDomainListGetStats", native.library))
# Waits for nobody, and keeps Python's lock.
_free = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(("virDomainStatsRecordListFree", native.library))


class Record(NamedTuple):
    """One guest."""

    uuid: str
    name: str
    counters: Counters


def of_all(connection: libvirt.virConnect, groups: int, flags: int) -> list[Record]:
    """As ``virConnect.getAllDomainStats``. Raises libvirtError."""
    return _records(_all_stats, native.pointer(connection._o, b"virConnectPtr"), groups, flags)


def of_some(domains: Sequence[libvirt.virDomain], groups: int, flags: int) -> list[Record]:
    """As ``virConnect.domainListGetStats``. Raises libvirtError."""
    handles = [native.pointer(domain._o, b"virDomainPtr") for domain in domains]
    return _records(_stats_of, (ctypes.c_void_p * (len(handles) + 1))(*handles, None), groups, flags)


def _records(function: Callable[..., int], of: Any, groups: int, flags: int) -> list[Record]:
    found = ctypes.c_void_p()
    count = function(of, groups, ctypes.byref(found), flags)
    if count < 0:
        raise libvirt.libvirtError("the statistics cannot be read")
    if not found.value:
        return []
    try:
        return list(_read((ctypes.c_void_p * count).from_address(found.value)))
    finally:
        _free(found)


def _read(records: ctypes.Array[ctypes.c_void_p]) -> Iterator[Record]:
    for record in records:
        domain, parameters, count = _RECORD.unpack(native.bytes_at(record, _RECORD.size))
        raw = native.bytes_at(parameters, count * PARAMETER_BYTES) if count else b""
        yield Record(native.uuid_of(domain), native.name_of(domain), counters.reading(raw, native.text_at))

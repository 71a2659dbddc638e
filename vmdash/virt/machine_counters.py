"""The machine's counters of CPU and memory in one call each.

libvirt-python asks twice each time: first how many values there are, which never changes on a connection. With many
hosts and CPUs that is a good part of all calls. So we ask libvirt itself, and remember the number.
"""

from __future__ import annotations

import ctypes
from typing import Any

import libvirt

from vmdash.virt import native

_FIELD_LENGTH = 80
"""VIR_NODE_CPU_STATS_FIELD_LENGTH and VIR_NODE_MEMORY_STATS_FIELD_LENGTH"""


class _Counter(ctypes.Structure):
    """virNodeCPUStats and virNodeMemoryStats, which are alike."""

    _fields_ = (("field", ctypes.c_char * _FIELD_LENGTH), ("value", ctypes.c_ulonglong))


_ARGUMENTS = (ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Counter), ctypes.POINTER(ctypes.c_int), ctypes.c_uint)
_call_type = ctypes.CFUNCTYPE(ctypes.c_int, *_ARGUMENTS)  # lets other threads run meanwhile
_functions = {name: _call_type((name, native.library)) for name in ("virNodeGetCPUStats", "virNodeGetMemoryStats")}


class MachineCounters:
    """Of one connection."""

    def __init__(self, connection: libvirt.virConnect) -> None:
        self._connection = connection
        self._counts: dict[tuple[str, bool], int] = {}
        """How many values there are, of the whole machine and of a part of it."""

    def cpu(self, number: int) -> dict[str, int]:
        """As ``virConnect.getCPUStats``. Raises libvirtError."""
        return self._read("virNodeGetCPUStats", number)

    def memory(self, cell: int) -> dict[str, int]:
        """As ``virConnect.getMemoryStats``. Raises libvirtError."""
        return self._read("virNodeGetMemoryStats", cell)

    def _read(self, function: str, part: int) -> dict[str, int]:
        which = (function, part == -1)
        count = self._counts.get(which)
        if count is None:
            count = self._counts[which] = self._call(function, part, None, 0)
        counters = (_Counter * count)()
        told = self._call(function, part, counters, count)
        return {counters[n].field.decode(): counters[n].value for n in range(told)}

    def _call(self, function: str, part: int, counters: Any, room: int) -> int:
        count, connection = ctypes.c_int(room), native.pointer(self._connection._o, b"virConnectPtr")
        if _functions[function](connection, part, counters, ctypes.byref(count), 0) < 0:
            raise libvirt.libvirtError("the counters of the machine cannot be read")
        return count.value

"""Statistics of many guests as libvirt gives them, without a call back into libvirt for each guest.

libvirt-python makes a ``virDomain`` of each record. To read its name and its UUID and to free it, it lets another
thread run each time; with many connections at work, it is then some milliseconds until ours runs again, three times a
guest. All three only look at memory. So we ask libvirt itself, and keep Python's lock meanwhile, which is what
``ctypes.PyDLL`` is for.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from sys import intern
from typing import Any, NamedTuple

import libvirt
import libvirtmod

from vmdash.virt import native

_UUID_LENGTH = 37
"""VIR_UUID_STRING_BUFLEN"""

_libvirt = ctypes.PyDLL(native.PATH)
_name_of = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)(("virDomainGetName", _libvirt))
_write_uuid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(("virDomainGetUUIDString", _libvirt))
_free = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(("virDomainFree", _libvirt))


class Record(NamedTuple):
    """One guest. Keys are the same objects each time: readings are kept, and else keys would be most of them."""

    uuid: str
    name: str
    values: dict[str, Any]


def of_all(connection: libvirt.virConnect, groups: int, flags: int) -> list[Record]:
    """As ``virConnect.getAllDomainStats``. Raises libvirtError."""
    return _records(libvirtmod.virConnectGetAllDomainStats(connection._o, groups, flags))


def of_some(
    connection: libvirt.virConnect, domains: Sequence[libvirt.virDomain], groups: int, flags: int
) -> list[Record]:
    """As ``virConnect.domainListGetStats``. Raises libvirtError."""
    handles = [domain._o for domain in domains]
    return _records(libvirtmod.virDomainListGetStats(connection._o, handles, groups, flags))


def _records(found: Iterable[tuple[object, dict[str, Any]]] | None) -> list[Record]:
    if found is None:
        raise libvirt.libvirtError("the statistics cannot be read")
    return list(_read(found))


def _read(found: Iterable[tuple[object, dict[str, Any]]]) -> Iterator[Record]:
    uuid = ctypes.create_string_buffer(_UUID_LENGTH)
    for handle, values in found:
        domain = native.pointer(handle, b"virDomainPtr")
        name = _name_of(domain)
        _write_uuid(domain, uuid)
        _free(domain)
        yield Record(uuid.value.decode(), name.decode(), {intern(key): value for key, value in values.items()})

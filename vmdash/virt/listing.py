"""Which guests a host has, without an object of libvirt-python for each.

libvirt-python lets another thread run to read the name of a guest, to read its UUID, its number, and to free it (see
``records``). Source: virConnectListAllDomains.
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import libvirt

from vmdash.virt import native

_list = ctypes.CFUNCTYPE(  # lets other threads run meanwhile
    ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_uint
)(("virConnectListAllDomains", native.library))
# These wait for nobody, and keep Python's lock.
_id_of = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(("virDomainGetID", native.library))
_free = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(("virDomainFree", native.library))
_free_list = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(("free", ctypes.CDLL(None)))


class Listed(NamedTuple):
    """``number`` is libvirt's id of it; None while it is off."""

    uuid: str
    name: str
    number: int | None


def of(connection: libvirt.virConnect, flags: int = 0) -> list[Listed]:
    """As ``virConnect.listAllDomains``. Raises libvirtError."""
    found = ctypes.c_void_p()
    count = _list(native.pointer(connection._o, b"virConnectPtr"), ctypes.byref(found), flags)
    if count < 0:
        raise libvirt.libvirtError("the guests cannot be listed")
    if not found.value:
        return []
    domains = (ctypes.c_void_p * count).from_address(found.value)
    try:
        return [_listed(domain) for domain in domains]
    finally:
        for domain in domains:
            _free(domain)
        _free_list(found)


def _listed(domain: int) -> Listed:
    number = _id_of(domain)
    return Listed(native.uuid_of(domain), native.name_of(domain), None if number < 0 else number)

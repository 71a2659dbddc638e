"""Which host CPU each vCPU of a guest is on, in one call.

libvirt-python asks three times (for the host's CPUs, for the number of vCPUs, then for these), and makes a list of each
vCPU's pinning, with an entry for every CPU of the host. Where guests lose time, that is asked for each of them again
and again. So we ask libvirt itself, without the pinning. Source: virDomainGetVcpus.
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import libvirt

from vmdash.virt import native

_FEW, _MOST = 64, 4096
"""vCPUs of nearly every guest; of any, since no machine type of QEMU takes more."""


class _Info(ctypes.Structure):
    """virVcpuInfo"""

    _fields_ = (
        ("number", ctypes.c_uint),
        ("state", ctypes.c_int),
        ("cpu_time", ctypes.c_ulonglong),
        ("cpu", ctypes.c_int),
    )


class Found(NamedTuple):
    """As in libvirt: the state is a virVcpuState, the time is in ns, the CPU is negative where it is not told."""

    number: int
    state: int
    time_ns: int
    cpu: int


_read = ctypes.CFUNCTYPE(  # lets other threads run meanwhile
    ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_Info), ctypes.c_int, ctypes.c_void_p, ctypes.c_int
)(("virDomainGetVcpus", native.library))


def of(domain: libvirt.virDomain) -> list[Found]:
    """As the first part of ``virDomain.vcpus``. Raises libvirtError."""
    found = _call(domain, _FEW)
    return found if len(found) < _FEW else _call(domain, _MOST)


def _call(domain: libvirt.virDomain, room: int) -> list[Found]:
    infos = (_Info * room)()
    count = _read(native.pointer(domain._o, b"virDomainPtr"), infos, room, None, 0)
    if count < 0:
        raise libvirt.libvirtError("the vCPUs cannot be read")
    return [Found(info.number, info.state, info.cpu_time, info.cpu) for info in infos[:count]]

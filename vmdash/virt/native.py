"""libvirt's C library itself, for what libvirt-python does in a costly way."""

from __future__ import annotations

import ctypes
import threading
from typing import Any
from uuid import UUID

import libvirtmod

PATH: str = libvirtmod.__file__
"""Functions are looked up in libvirt-python's own module, and so in the very library that it uses."""

pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
"""The address that an object of libvirt-python (its ``_o``) stands for, such as a ``b"virDomainPtr"``."""

_UUID_LENGTH = 16
"""VIR_UUID_BUFLEN"""
_MOST_UUIDS = 200_000

library = ctypes.CDLL(PATH)
# These only look at memory, and keep Python's lock.
bytes_at = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t)(
    ("PyBytes_FromStringAndSize", ctypes.pythonapi)
)
"""So many bytes at that address; `ctypes.string_at` does the same in a Python function of its own."""
_text_at = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p)(("PyUnicode_FromString", ctypes.pythonapi))
_name_of = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)(("virDomainGetName", library))
_write_uuid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(("virDomainGetUUID", library))
_uuids: dict[bytes, str] = {}
"""As text. The same objects each time: every reading of a guest has one."""


class _Buffers(threading.local):
    """Room for an answer; each thread has its own."""

    def __init__(self) -> None:
        self.uuid = ctypes.create_string_buffer(_UUID_LENGTH)


_buffers = _Buffers()


def text_at(address: int) -> str:
    """A string of C; empty where there is none."""
    return _text_at(address) if address else ""


def name_of(domain: Any) -> str:
    """The name of the guest at that address (a ``virDomainPtr``)."""
    return (_name_of(domain) or b"").decode()


def uuid_of(domain: Any) -> str:
    """Its UUID."""
    buffer = _buffers.uuid
    _write_uuid(domain, buffer)
    uuid = buffer.raw
    return _uuids.get(uuid) or _text_of(uuid)


def _text_of(uuid: bytes) -> str:
    if len(_uuids) >= _MOST_UUIDS:
        _uuids.clear()
    return _uuids.setdefault(uuid, str(UUID(bytes=uuid)))

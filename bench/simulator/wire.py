"""XDR (RFC 4506) as far as libvirt's protocol needs it, its messages, and the numbers of the procedures."""

from __future__ import annotations

import struct
from enum import IntEnum

REMOTE_PROGRAM, KEEPALIVE_PROGRAM, VERSION = 0x20008086, 0x6B656570, 1
CALL, REPLY, MESSAGE = 0, 1, 2
OK, ERROR = 0, 1
PING, PONG = 1, 2
HEADER = struct.Struct(">7I")
"""Length of the whole message, program, version, procedure, type, serial, status."""
NO_SUPPORT, NO_DOMAIN, OPERATION_INVALID = 3, 42, 55
"""virErrorNumber"""
_FROM_REMOTE, _LEVEL_ERROR = 13, 2

_PARAM_INT, _PARAM_UINT, _PARAM_ULLONG, _PARAM_BOOLEAN, _PARAM_STRING = 1, 2, 4, 6, 7
"""virTypedParameterType"""


class Procedure(IntEnum):
    """remote_procedure"""

    CONNECT_OPEN = 1
    CONNECT_CLOSE = 2
    CONNECT_GET_TYPE = 3
    CONNECT_GET_VERSION = 4
    NODE_GET_INFO = 6
    CONNECT_GET_CAPABILITIES = 7
    DOMAIN_GET_XML_DESC = 14
    DOMAIN_GET_AUTOSTART = 15
    DOMAIN_GET_INFO = 16
    DOMAIN_GET_VCPUS = 20
    DOMAIN_LOOKUP_BY_UUID = 24
    NETWORK_GET_XML_DESC = 43
    NETWORK_GET_AUTOSTART = 44
    CONNECT_GET_HOSTNAME = 59
    CONNECT_SUPPORTS_FEATURE = 60
    AUTH_LIST = 66
    STORAGE_POOL_GET_INFO = 87
    STORAGE_POOL_GET_XML_DESC = 88
    STORAGE_POOL_GET_AUTOSTART = 89
    STORAGE_VOL_GET_XML_DESC = 99
    CONNECT_GET_URI = 110
    DOMAIN_IS_ACTIVE = 150
    DOMAIN_IS_PERSISTENT = 151
    NETWORK_IS_ACTIVE = 152
    NETWORK_IS_PERSISTENT = 153
    STORAGE_POOL_IS_PERSISTENT = 155
    CONNECT_GET_LIB_VERSION = 157
    DOMAIN_HAS_MANAGED_SAVE_IMAGE = 183
    DOMAIN_SNAPSHOT_NUM = 187
    DOMAIN_GET_STATE = 212
    NODE_GET_CPU_STATS = 227
    NODE_GET_MEMORY_STATS = 228
    CONNECT_LIST_ALL_DOMAINS = 273
    DOMAIN_LIST_ALL_SNAPSHOTS = 274
    CONNECT_LIST_ALL_STORAGE_POOLS = 281
    STORAGE_POOL_LIST_ALL_VOLUMES = 282
    CONNECT_LIST_ALL_NETWORKS = 283
    NODE_GET_CPU_MAP = 293
    CONNECT_NETWORK_EVENT_REGISTER_ANY = 313
    CONNECT_NETWORK_EVENT_DEREGISTER_ANY = 314
    CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY = 316
    CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY = 317
    DOMAIN_EVENT_CALLBACK_LIFECYCLE = 318
    CONNECT_GET_ALL_DOMAIN_STATS = 344
    DOMAIN_INTERFACE_ADDRESSES = 353
    CONNECT_REGISTER_CLOSE_CALLBACK = 360
    CONNECT_UNREGISTER_CLOSE_CALLBACK = 361
    CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY = 368
    CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY = 369


def integer(value: int) -> bytes:
    """An int or unsigned int, also the smaller types, which take as much room."""
    return value.to_bytes(4, "big", signed=value < 0)


def hyper(value: int) -> bytes:
    return value.to_bytes(8, "big")


def string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return integer(len(data)) + data + bytes(-len(data) % 4)


def int_param(field: str, value: int) -> bytes:
    return string(field) + integer(_PARAM_INT) + integer(value)


def uint_param(field: str, value: int) -> bytes:
    return string(field) + integer(_PARAM_UINT) + integer(value)


def bool_param(field: str, *, value: bool) -> bytes:
    return string(field) + integer(_PARAM_BOOLEAN) + integer(value)


def string_param(field: str, value: str) -> bytes:
    return string(field) + integer(_PARAM_STRING) + string(value)


def counter_param(field: str) -> bytes:
    """An unsigned long long, whose 8 bytes are to follow."""
    return string(field) + integer(_PARAM_ULLONG)


def message(procedure: int, kind: int, serial: int, status: int, body: bytes) -> bytes:
    size = HEADER.size + len(body)
    return HEADER.pack(size, REMOTE_PROGRAM, VERSION, procedure, kind, serial, status) + body


def keepalive(procedure: int) -> bytes:
    return HEADER.pack(HEADER.size, KEEPALIVE_PROGRAM, VERSION, procedure, MESSAGE, 0, OK)


def error(code: int, text: str) -> bytes:
    """A remote_error: no domain, network or further strings."""
    nothing = integer(0)
    return b"".join(
        (
            *(integer(code), integer(_FROM_REMOTE), integer(1), string(text), integer(_LEVEL_ERROR), nothing),
            *(integer(1), string(text), nothing, nothing, integer(0), integer(0), nothing),
        )
    )


class Arguments:
    """Reads the arguments of a call, one after the other."""

    __slots__ = ("_at", "_body")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, size: int) -> bytes:
        start = self._at
        self._at += size
        return self._body[start : self._at]

    def integer(self) -> int:
        return int.from_bytes(self.take(4), "big", signed=True)

    def string(self) -> bytes:
        size = self.integer()
        data = self.take(size)
        self._at += -size % 4
        return data

    def domain(self) -> bytes:
        """A remote_nonnull_domain: its UUID."""
        self.string()
        uuid = self.take(16)
        self._at += 4
        return uuid

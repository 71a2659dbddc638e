"""``libvirt.libvirtError`` becomes our own exception, in this one place.

Decided by error code, error domain and errno; never by message text, which changes with version and language. (A full
disk is the one exception: what QEMU runs into itself, libvirt passes on in QEMU's words alone.)
Source: virterror.h; ``virReportSystemError`` puts the errno into ``int1``, which travels over the wire.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

import libvirt

from vmdash.virt import errors
from vmdash.virt.errors import HostError, VirtError

# Every error is raised as an exception; without a handler libvirt prints each one to stderr as well.
libvirt.registerErrorHandler(lambda _context, _error: None, None)

# These say that the transport failed, not the call. (nova's host.py draws the same line.)
_TRANSPORT_DOMAINS = frozenset(
    {libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE, libvirt.VIR_FROM_SSH, libvirt.VIR_FROM_LIBSSH}
)
_TRANSPORT_CODES = frozenset(
    {
        libvirt.VIR_ERR_SYSTEM_ERROR,
        libvirt.VIR_ERR_INTERNAL_ERROR,
        libvirt.VIR_ERR_GNUTLS_ERROR,
        libvirt.VIR_ERR_SSH,
        libvirt.VIR_ERR_LIBSSH,
        libvirt.VIR_ERR_NO_CONNECT,
    }
)

_BY_CODE: dict[int, type[VirtError]] = {
    libvirt.VIR_ERR_INVALID_CONN: errors.ConnectionLost,
    libvirt.VIR_ERR_NO_DOMAIN: errors.GuestNotFound,
    libvirt.VIR_ERR_INVALID_DOMAIN: errors.GuestNotFound,
    libvirt.VIR_ERR_NO_STORAGE_POOL: errors.PoolNotFound,
    libvirt.VIR_ERR_INVALID_STORAGE_POOL: errors.PoolNotFound,
    libvirt.VIR_ERR_NO_STORAGE_VOL: errors.VolumeNotFound,
    libvirt.VIR_ERR_INVALID_STORAGE_VOL: errors.VolumeNotFound,
    libvirt.VIR_ERR_NO_NETWORK: errors.NetworkNotFound,
    libvirt.VIR_ERR_INVALID_NETWORK: errors.NetworkNotFound,
    libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT: errors.SnapshotNotFound,
    libvirt.VIR_ERR_INVALID_DOMAIN_SNAPSHOT: errors.SnapshotNotFound,
    libvirt.VIR_ERR_SNAPSHOT_REVERT_RISKY: errors.RevertRisky,
    libvirt.VIR_ERR_BLOCK_COPY_ACTIVE: errors.ResourceBusy,
    libvirt.VIR_ERR_NO_NODE_DEVICE: errors.DeviceNotFound,
    libvirt.VIR_ERR_DEVICE_MISSING: errors.DeviceNotFound,
    libvirt.VIR_ERR_OPERATION_INVALID: errors.InvalidState,
    libvirt.VIR_ERR_DOM_EXIST: errors.AlreadyExists,
    libvirt.VIR_ERR_NETWORK_EXIST: errors.AlreadyExists,
    libvirt.VIR_ERR_STORAGE_VOL_EXIST: errors.AlreadyExists,
    libvirt.VIR_ERR_AGENT_UNRESPONSIVE: errors.AgentUnresponsive,
    libvirt.VIR_ERR_AGENT_UNSYNCED: errors.AgentUnresponsive,
    libvirt.VIR_ERR_OPERATION_TIMEOUT: errors.CallTimedOut,
    libvirt.VIR_ERR_RESOURCE_BUSY: errors.ResourceBusy,
    libvirt.VIR_ERR_XML_ERROR: errors.InvalidDefinition,
    libvirt.VIR_ERR_XML_DETAIL: errors.InvalidDefinition,
    libvirt.VIR_ERR_XML_INVALID_SCHEMA: errors.InvalidDefinition,
    libvirt.VIR_ERR_INVALID_ARG: errors.ArgumentRefused,
    libvirt.VIR_ERR_NO_SUPPORT: errors.CallUnsupported,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED: errors.CallUnsupported,
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED: errors.CallUnsupported,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED: errors.CallUnsupported,
    libvirt.VIR_ERR_OPERATION_DENIED: errors.CallRefused,
    libvirt.VIR_ERR_ACCESS_DENIED: errors.CallRefused,
    libvirt.VIR_ERR_OPERATION_ABORTED: errors.JobCancelled,
}

_CONNECT_BY_CODE: dict[int, type[HostError]] = {
    libvirt.VIR_ERR_AUTH_FAILED: errors.AuthenticationFailed,
    libvirt.VIR_ERR_AUTH_CANCELLED: errors.AuthenticationFailed,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE: errors.AuthenticationFailed,
    libvirt.VIR_ERR_OPERATION_DENIED: errors.AuthenticationFailed,
    libvirt.VIR_ERR_ACCESS_DENIED: errors.AuthenticationFailed,
    libvirt.VIR_ERR_NO_CONNECT: errors.DriverMissing,
}

_CONNECT_BY_ERRNO: dict[int, type[HostError]] = {
    errno.ECONNREFUSED: errors.PortClosed,
    errno.EHOSTUNREACH: errors.HostUnreachable,
    errno.ENETUNREACH: errors.HostUnreachable,
    errno.ETIMEDOUT: errors.AttemptsDropped,
    errno.ENOENT: errors.LibvirtMissing,
    errno.EACCES: errors.LibvirtMissing,
}

_FULL = os.strerror(errno.ENOSPC)

_CALL_BY_ERRNO: dict[int, type[VirtError]] = {
    errno.ENOENT: errors.StorageMissing,
    errno.ENOSPC: errors.OutOfSpace,
    errno.EDQUOT: errors.OutOfSpace,
    errno.EBUSY: errors.ResourceBusy,
    errno.EADDRINUSE: errors.ResourceBusy,
    errno.EACCES: errors.CallRefused,
    errno.EPERM: errors.CallRefused,
}

T = TypeVar("T")

_UNSUPPORTED_CODES = frozenset(code for code, kind in _BY_CODE.items() if kind is errors.CallUnsupported)


def classify(error: libvirt.libvirtError, *, connecting: bool = False) -> type[VirtError]:
    """The exception class for a libvirtError. ``connecting``: it came from ``virConnectOpen``."""
    code, domain = error.get_error_code(), error.get_error_domain()
    number = int(error.get_int1() or 0) if code == libvirt.VIR_ERR_SYSTEM_ERROR else 0
    if connecting:
        return _CONNECT_BY_CODE.get(code) or _CONNECT_BY_ERRNO.get(number, errors.ConnectionFailed)
    if domain in _TRANSPORT_DOMAINS and code in _TRANSPORT_CODES:
        return errors.ConnectionLost
    if code in _BY_CODE:
        return _BY_CODE[code]
    if number not in _CALL_BY_ERRNO and _FULL in str(error):
        return errors.OutOfSpace
    return _CALL_BY_ERRNO.get(number, errors.HypervisorError)


class translate:
    """``with translate("start web1", "kvm3"): …`` raises our exceptions in place of libvirtError."""

    __slots__ = ("connecting", "doing", "where")

    def __init__(self, doing: str, where: str = "", *, connecting: bool = False) -> None:
        self.doing = doing
        self.where = where
        self.connecting = connecting

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, libvirt.libvirtError):
            detail = f"{error} (code {error.get_error_code()}, domain {error.get_error_domain()})"
            found = classify(error, connecting=self.connecting)
            raise found.because(self.doing, self.where, detail=detail) from error


def is_unsupported(error: libvirt.libvirtError) -> bool:
    """Whether driver or daemon lack the function that was called."""
    return error.get_error_code() in _UNSUPPORTED_CODES


def supported(call: Callable[[], T], default: T) -> T:
    """The call's result, or ``default`` where the driver lacks the function; other errors pass through."""
    try:
        return call()
    except libvirt.libvirtError as error:
        if is_unsupported(error):
            return default
        raise

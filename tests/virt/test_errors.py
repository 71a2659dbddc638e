"""libvirt's errors become ours by code, domain and errno; what is said is for people."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import libvirt
import pytest

from vmdash.exceptions import Unsupported, VmdashError
from vmdash.virt import errors
from vmdash.virt.errors import VirtError
from vmdash.virt.translation import classify, supported, translate

QEMU, RPC, STORAGE = libvirt.VIR_FROM_QEMU, libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_STORAGE


def libvirt_error(code: int, domain: int = QEMU, number: int = 0, text: str = "some text") -> libvirt.libvirtError:
    error = libvirt.libvirtError(text)
    error.args = (text,)  # its constructor prefers the text of the thread's last real error
    error.err = (code, domain, text, 2, None, None, None, number, -1)
    return error


def subclasses(kind: type[VirtError]) -> Iterator[type[VirtError]]:
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (libvirt_error(libvirt.VIR_ERR_NO_DOMAIN), errors.GuestNotFound),
        (libvirt_error(libvirt.VIR_ERR_OPERATION_INVALID), errors.InvalidState),
        (libvirt_error(libvirt.VIR_ERR_AGENT_UNRESPONSIVE), errors.AgentUnresponsive),
        (libvirt_error(libvirt.VIR_ERR_NO_SUPPORT), errors.CallUnsupported),
        (libvirt_error(libvirt.VIR_ERR_OPERATION_DENIED), errors.CallRefused),
        (libvirt_error(libvirt.VIR_ERR_OPERATION_TIMEOUT), errors.CallTimedOut),
        (libvirt_error(libvirt.VIR_ERR_SYSTEM_ERROR, STORAGE, errno.ENOENT), errors.StorageMissing),
        (libvirt_error(libvirt.VIR_ERR_SYSTEM_ERROR, STORAGE, errno.ENOSPC), errors.OutOfSpace),
        (libvirt_error(libvirt.VIR_ERR_SYSTEM_ERROR, STORAGE, errno.EIO), errors.HypervisorError),
        (libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, text="qemu-img: No space left on device"), errors.OutOfSpace),
        (libvirt_error(libvirt.VIR_ERR_SYSTEM_ERROR, RPC, errno.ECONNRESET), errors.ConnectionLost),
        (libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, RPC), errors.ConnectionLost),
        (libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, QEMU), errors.HypervisorError),
        (libvirt_error(libvirt.VIR_ERR_INVALID_CONN, QEMU), errors.ConnectionLost),
        (libvirt_error(999_999), errors.HypervisorError),
    ],
)
def test_a_failed_call_becomes(error: libvirt.libvirtError, expected: type[VirtError]) -> None:
    assert classify(error) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (libvirt_error(libvirt.VIR_ERR_AUTH_FAILED, RPC), errors.AuthenticationFailed),
        (libvirt_error(libvirt.VIR_ERR_SYSTEM_ERROR, RPC, errno.ECONNREFUSED), errors.PortClosed),
        (libvirt_error(libvirt.VIR_ERR_SYSTEM_ERROR, RPC, errno.ENETUNREACH), errors.HostUnreachable),
        (libvirt_error(libvirt.VIR_ERR_SYSTEM_ERROR, RPC, errno.ETIMEDOUT), errors.AttemptsDropped),
        (libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, RPC), errors.ConnectionFailed),
        (libvirt_error(libvirt.VIR_ERR_SSH, libvirt.VIR_FROM_SSH), errors.ConnectionFailed),
        (libvirt_error(libvirt.VIR_ERR_ACCESS_DENIED, libvirt.VIR_FROM_ACCESS), errors.AuthenticationFailed),
        (libvirt_error(libvirt.VIR_ERR_XML_ERROR, libvirt.VIR_FROM_TEST), errors.ConnectionFailed),
    ],
)
def test_a_failed_connection_becomes(error: libvirt.libvirtError, expected: type[VirtError]) -> None:
    assert classify(error, connecting=True) is expected


def test_the_text_of_an_error_decides_nothing() -> None:
    told = libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, text="Domain not found; authentication failed")
    assert classify(told) is errors.HypervisorError


def test_a_message_says_what_failed_and_where_and_what_to_do() -> None:
    with pytest.raises(errors.StorageMissing) as caught, translate("start web1", "kvm3"):
        raise libvirt_error(libvirt.VIR_ERR_SYSTEM_ERROR, STORAGE, errno.ENOENT, "cannot access /images/web1.img")
    assert caught.value.message == "Cannot start web1 on kvm3: a file or disk image it needs is missing."
    assert caught.value.hint.startswith("Check that the storage pool is started")
    assert "/images/web1.img" in caught.value.detail
    assert "/images/web1.img" not in str(caught.value)


def test_other_exceptions_pass_untouched() -> None:
    with pytest.raises(ZeroDivisionError), translate("start web1", "kvm3"):
        _ = 1 // 0


def test_what_a_driver_lacks_can_have_a_default() -> None:
    def lacking() -> int:
        raise libvirt_error(libvirt.VIR_ERR_NO_SUPPORT)

    def failing() -> int:
        raise libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR)

    assert supported(lacking, 7) == 7
    with pytest.raises(libvirt.libvirtError):
        supported(failing, 7)


def test_every_error_has_a_code_of_its_own_and_plain_words() -> None:
    kinds = list(subclasses(VirtError))
    codes = [kind.code for kind in kinds if "code" in vars(kind)]
    assert len(codes) == len(set(codes))
    for kind in kinds:
        assert not kind.reason.endswith("."), kind
        assert not kind.advice or kind.advice.endswith("."), kind


def test_shared_bases_tell_what_kind_of_trouble_it_is() -> None:
    assert issubclass(errors.CallUnsupported, Unsupported)
    assert issubclass(VirtError, VmdashError)

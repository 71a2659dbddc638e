"""What can go wrong with a host or a call, as exceptions that say what to do next.

Two families: a ``HostError`` concerns the host or the connection as a whole (the collector reconnects), a
``CallError`` one call (the connection is fine). ``code`` is a stable string for the database and for JSON.
No libvirt is needed to import this module; ``translation`` makes these out of ``libvirt.libvirtError``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from vmdash.exceptions import Conflict, InvalidInput, NotFound, NotPermitted, Unavailable, Unsupported, VmdashError

if TYPE_CHECKING:
    from vmdash.virt.identity import HostKey, ServerCertificate


class VirtError(VmdashError):
    """Base of everything this package raises, except for InvalidInput from malformed addresses.

    ``reason`` completes "Cannot start web1 on kvm3: …"; ``advice`` says what to do next.
    """

    code: ClassVar[str] = "virt_error"
    reason: ClassVar[str] = "it failed"
    advice: ClassVar[str] = ""

    @classmethod
    def because(cls, doing: str, where: str = "", *, reason: str = "", detail: str = "") -> Self:
        """The error for ``doing`` ("start web1") at ``where`` ("kvm3"), in the words of its class."""
        place = f" on {where}" if where else ""
        return cls(f"Cannot {doing}{place}: {reason or cls.reason}.", hint=cls.advice, detail=detail)


# The host or the connection as a whole


class HostError(VirtError, Unavailable):
    """The host cannot be used at all for now."""

    code = "host_error"


class AddressUnknown(HostError):
    code = "address_unknown"
    reason = "its address cannot be resolved"
    advice = "Check the spelling of the address and the name service."


class HostUnreachable(HostError):
    code = "host_unreachable"
    reason = "there is no network route to it"
    advice = "Check that the host is up and the network between here and there."


class PortClosed(HostError):
    code = "port_closed"
    reason = "nothing listens on that port"
    advice = "Check the port, and that the libvirt daemon (or its socket unit) is started there."


class AttemptsDropped(HostError):
    code = "attempts_dropped"
    reason = "connection attempts get no answer"
    advice = "A firewall may drop them, or the host is down or overloaded."


class NotLibvirt(HostError):
    code = "not_libvirt"
    reason = "what answers on that port is not libvirt"
    advice = "Check the port and the transport: libvirt listens on 16509 (tcp) or 16514 (tls)."


class NotTls(HostError):
    code = "not_tls"
    reason = "what answers on that port does not speak TLS"
    advice = "Check the port: libvirt's TLS port is 16514, the plain one 16509."


class NotSsh(HostError):
    code = "not_ssh"
    reason = "what answers on that port is not an SSH server"
    advice = "Check the port: SSH is usually on 22."


class HostHung(HostError):
    code = "host_hung"
    reason = "it accepts connections but does not answer"
    advice = "The libvirt daemon there is stuck or overloaded. Restarting it does not stop its guests."


class LibvirtMissing(HostError):
    code = "libvirt_missing"
    reason = "the host is reached, but its libvirt daemon is not"
    advice = "Check that libvirt is installed and started there, and that this user may use its socket."


class DriverMissing(HostError, Unsupported):
    code = "driver_missing"
    reason = "its libvirt has no driver for that hypervisor"
    advice = "Choose the hypervisor that runs there, or install libvirt's driver for it on the host."


class AuthenticationFailed(HostError, NotPermitted):
    code = "authentication_failed"
    reason = "it refused the credentials"
    advice = "Check the user name and the password or key."


class CertificateRejected(HostError):
    """``certificate`` is what the server showed, if it could be read."""

    code = "certificate_rejected"
    reason = "its certificate is not acceptable"
    advice = "Check the host's certificate and the trusted CA."

    def __init__(
        self, message: str, *, hint: str = "", detail: str = "", certificate: ServerCertificate | None = None
    ) -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.certificate = certificate


class CertificateUntrusted(CertificateRejected):
    code = "certificate_untrusted"
    reason = "its certificate is not signed by a CA that is trusted for it"
    advice = "Compare the fingerprint with the one on the host, then confirm it; or give the right CA."


class CertificateNameMismatch(CertificateRejected):
    code = "certificate_name_mismatch"
    reason = "its certificate is made out to another name"
    advice = "Use an address that stands in the certificate, or have a new certificate made."


class CertificateExpired(CertificateRejected):
    code = "certificate_expired"
    reason = "its certificate is expired or not valid yet"
    advice = "Renew the certificate on the host, and check the clocks here and there."


class ClientCertificateRejected(HostError, NotPermitted):
    code = "client_certificate_rejected"
    reason = "it refused our client certificate"
    advice = "Give a client certificate that is signed by the CA the host trusts and is allowed there."


class HostKeyError(HostError):
    """``host_keys`` are the keys the server showed, the preferred one first."""

    def __init__(self, message: str, *, hint: str = "", detail: str = "", host_keys: tuple[HostKey, ...] = ()) -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.host_keys = host_keys


class HostKeyUnknown(HostKeyError):
    code = "host_key_unknown"
    reason = "its SSH key has not been confirmed yet"
    advice = "Compare the fingerprint with the one on the host, then confirm it."


class HostKeyChanged(HostKeyError):
    code = "host_key_changed"
    reason = "its SSH key is not the one confirmed earlier"
    advice = (
        "Somebody may be in between. If the host was installed anew, compare the fingerprint and confirm the new key."
    )


class ConnectionLost(HostError):
    code = "connection_lost"
    reason = "the connection to the host was lost"
    advice = "It is opened again by itself; try again in a few seconds."


class ConnectionFailed(HostError):
    """Fallback while connecting."""

    code = "connection_failed"
    reason = "the connection could not be opened"
    advice = "See the details."


# One call


class CallError(VirtError):
    """One call failed; the connection is as good as before."""

    code = "call_error"


class GuestNotFound(CallError, NotFound):
    code = "guest_not_found"
    reason = "the host has no such guest any more"
    advice = "It may have been undefined, or moved to another host."


class PoolNotFound(CallError, NotFound):
    code = "pool_not_found"
    reason = "the host has no such storage pool"


class VolumeNotFound(CallError, NotFound):
    code = "volume_not_found"
    reason = "there is no such volume in the pool"
    advice = "Refresh the pool; the volume may have been removed."


class NetworkNotFound(CallError, NotFound):
    code = "network_not_found"
    reason = "the host has no such network"
    advice = "Define and start the network there, or change the guest's interface."


class SnapshotNotFound(CallError, NotFound):
    code = "snapshot_not_found"
    reason = "the guest has no such snapshot any more"
    advice = "It may have been deleted by somebody else."


class DeviceNotFound(CallError, NotFound):
    code = "device_not_found"
    reason = "there is no such device"


class InvalidState(CallError, Conflict):
    code = "invalid_state"
    reason = "its state does not allow it now"


class GuestAlreadyRunning(InvalidState):
    code = "guest_already_running"
    reason = "the guest runs already"


class GuestNotRunning(InvalidState):
    code = "guest_not_running"
    reason = "the guest does not run"
    advice = "Start it first."


class AlreadyExists(CallError, Conflict):
    code = "already_exists"
    reason = "something of that name or UUID is there already"


class AgentUnresponsive(CallError, Unavailable):
    code = "agent_unresponsive"
    reason = "the guest agent does not answer"
    advice = "Check that qemu-guest-agent is installed and running in the guest."


class CallTimedOut(CallError, Unavailable):
    code = "call_timed_out"
    reason = "the host did not finish it in time"
    advice = "Another operation on the same guest may be in progress; try again later."


class RevertRisky(CallError, Conflict):
    """``Snapshot.revert`` with ``force`` goes on all the same."""

    code = "revert_risky"
    reason = "the guest has changed too much since, or would have to be stopped"
    advice = "Shut the guest down first, then revert."


class ResourceBusy(CallError, Conflict):
    code = "resource_busy"
    reason = "something it needs is in use"
    advice = "Try again once the other operation has ended."


class PoolBusy(CallError, Unavailable):
    """libvirt looks through no pool, and stops none, while it is making a volume there."""

    code = "pool_busy"
    reason = "a volume is being made or copied there"
    advice = "Try again when that is through."


class StorageMissing(CallError, NotFound):
    code = "storage_missing"
    reason = "a file or disk image it needs is missing"
    advice = "Check that the storage pool is started and the image is still there."


class OutOfSpace(CallError, Conflict):
    code = "out_of_space"
    reason = "the storage is full"
    advice = "Free some space in the pool."


class InvalidDefinition(CallError, InvalidInput):
    code = "invalid_definition"
    reason = "the XML definition is not valid"


class ArgumentRefused(CallError, InvalidInput):
    code = "argument_refused"
    reason = "the host does not accept what was asked for"
    advice = "The details say which value or option it is."


class CallUnsupported(CallError, Unsupported):
    code = "unsupported"
    reason = "this host does not offer it"


class CallRefused(CallError, NotPermitted):
    code = "refused"
    reason = "the host does not allow it"
    advice = "Check the rights of the user vmdash connects as, and whether the connection is read-only."


class TargetUnreachable(CallError, Unavailable):
    """Of a migration: the source's daemon could not open the target's, or lost it."""

    code = "target_unreachable"
    reason = "its libvirt daemon does not reach the one there"
    advice = (
        "Let the hosts trust each other: a certificate, a password in /etc/libvirt/auth.conf, or an SSH key of root's. "
        "Check the target's migration URI."
    )


class JobCancelled(CallError):
    code = "job_cancelled"
    reason = "it was cancelled"


class HypervisorError(CallError):
    """Fallback for calls."""

    code = "hypervisor_error"
    reason = "the hypervisor reported an error"
    advice = "See the details."

"""The TLS part of a probe: whose certificate is it, does it accept ours, and is libvirt behind it?"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TypeVar

from vmdash.exceptions import InvalidInput
from vmdash.virt import errors
from vmdash.virt.credentials import materialise
from vmdash.virt.errors import CertificateRejected, HostError
from vmdash.virt.identity import ServerCertificate
from vmdash.virt.probe_attempt import Attempt, Link
from vmdash.virt.rpc import AUTH_LIST_CALL

T = TypeVar("T")

# X509_V_ERR_…, source: openssl/x509_vfy.h
_BY_VERIFY_CODE: dict[int, type[CertificateRejected]] = {
    9: errors.CertificateExpired,  # not yet valid
    10: errors.CertificateExpired,
    62: errors.CertificateNameMismatch,  # host name
    64: errors.CertificateNameMismatch,  # IP address
}
_ALERTS_ABOUT_OUR_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")


async def certificate_and_auth(attempt: Attempt, link: Link) -> tuple[ServerCertificate, tuple[str, ...]]:
    """Shake hands, wait for libvirt's consent, ask what authentication it wants. Raises HostError, InvalidInput."""
    trusted = bool(attempt.credentials.tls_ca_pem)
    channel = _Channel(link, _context(attempt), attempt.endpoint.address if trusted else None)
    certificate = await _handshake(attempt, link, channel)
    if not trusted:
        raise _rejected(attempt, errors.CertificateUntrusted, certificate, "no CA is stored for it")
    await _consent(attempt, link, channel)
    await channel.write(AUTH_LIST_CALL)
    return certificate, await attempt.auth_list(link, channel)


async def _handshake(attempt: Attempt, link: Link, channel: _Channel) -> ServerCertificate:
    try:
        await attempt.ask(link, channel.handshake)
    except ssl.SSLCertVerificationError as error:
        kind = _BY_VERIFY_CODE.get(error.verify_code, errors.CertificateUntrusted)
        raise _rejected(attempt, kind, await _shown_certificate(attempt), error.verify_message) from error
    except (ssl.SSLError, OSError) as error:
        raise _handshake_failure(attempt, error) from error
    return channel.certificate()


async def _consent(attempt: Attempt, link: Link, channel: _Channel) -> None:
    """libvirt sends one byte, 1, once it has checked our certificate, or closes. Source: virnetserverclient.c."""
    try:
        status = await attempt.ask(link, lambda: channel.read(1))
    except (ssl.SSLError, OSError) as error:
        raise attempt.failure(_without_consent(link), detail=str(error)) from error
    if not status:  # some versions of Python tell an end without goodbye so, and not as an error
        raise attempt.failure(_without_consent(link), detail="it closed the connection after the handshake")
    if status != b"\x01":
        raise attempt.failure(errors.NotLibvirt, detail=f"received {status!r} after the TLS handshake")


def _without_consent(link: Link) -> type[HostError]:
    """libvirt ends a connection by itself; whoever waited for us to go on is something else."""
    return errors.NotLibvirt if link.hung_up else errors.ClientCertificateRejected


async def _shown_certificate(attempt: Attempt) -> ServerCertificate | None:
    """The certificate that failed: Python does not hand it over, so it is fetched by a second, unverified handshake."""
    try:
        async with attempt.connected() as link:
            channel = _Channel(link, _unverified(), None)
            await attempt.ask(link, channel.handshake)
            return channel.certificate()
    except (HostError, OSError):
        return None


def _rejected(
    attempt: Attempt, kind: type[CertificateRejected], certificate: ServerCertificate | None, detail: str
) -> CertificateRejected:
    reason = kind.reason
    if certificate is not None and kind is errors.CertificateNameMismatch:
        reason = (
            f"its certificate is for {', '.join(certificate.names) or 'nobody'}, not for {attempt.endpoint.address}"
        )
    if certificate is not None and kind is errors.CertificateExpired:
        reason = (
            f"its certificate is valid from {certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d} only"
        )
    error = attempt.failure(kind, reason=reason, detail=detail)
    error.certificate = certificate
    return error


def _handshake_failure(attempt: Attempt, error: OSError) -> HostError:
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    if "_ALERT_" not in reason:
        return attempt.failure(errors.NotTls, detail=str(error))
    if any(word in reason for word in _ALERTS_ABOUT_OUR_CERTIFICATE):
        return attempt.failure(errors.ClientCertificateRejected, detail=str(error))
    return attempt.failure(
        errors.ConnectionFailed, reason="no TLS version and cipher suits both sides", detail=str(error)
    )


def _context(attempt: Attempt) -> ssl.SSLContext:
    credentials = attempt.credentials
    if not credentials.tls_ca_pem:
        return _unverified()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("DEFAULT:@SECLEVEL=1")  # no stricter than GnuTLS, which libvirt uses
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a confirmed server certificate is an anchor by itself
    try:
        context.load_verify_locations(cadata=credentials.tls_ca_pem)
        if credentials.tls_certificate_pem:
            _load_client_certificate(context, attempt)
    except ssl.SSLError as error:
        raise InvalidInput(
            "The stored TLS certificates cannot be used.",
            hint="Check that CA, certificate and key are PEM texts and that the key belongs to the certificate.",
            detail=str(error),
        ) from error
    return context


def _load_client_certificate(context: ssl.SSLContext, attempt: Attempt) -> None:
    directory = materialise(attempt.endpoint, attempt.credentials, attempt.runtime_dir).directory
    context.load_cert_chain(directory / "clientcert.pem", directory / "clientkey.pem")


def _unverified() -> ssl.SSLContext:
    """For a look at a certificate; nothing secret goes over such a connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("DEFAULT:@SECLEVEL=1")
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Channel:
    """TLS over a plain stream. asyncio's own TLS cannot close one half, which ``Attempt.ask`` needs."""

    def __init__(self, link: Link, context: ssl.SSLContext, hostname: str | None) -> None:
        self._link = link
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)

    async def handshake(self) -> None:
        await self._drive(self._tls.do_handshake)

    async def read(self, n: int, /) -> bytes:
        return await self._drive(lambda: self._tls.read(n))

    async def write(self, data: bytes) -> None:
        await self._drive(lambda: self._tls.write(data))

    def certificate(self) -> ServerCertificate:
        return ServerCertificate.from_der(self._tls.getpeercert(binary_form=True) or b"")

    async def _drive(self, step: Callable[[], T]) -> T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._flush()
                if piece := await self._link.reader.read(65536):
                    self._incoming.write(piece)
                else:
                    self._incoming.write_eof()
            finally:
                self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending and not self._link.hung_up:
            self._link.writer.write(self._outgoing.read())

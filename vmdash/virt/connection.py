"""``HostConnection``: the live handle of one libvirt daemon, and the factory of all others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import libvirt
from lxml import etree

from vmdash.virt import eventloop, inventory
from vmdash.virt.credentials import Credentials, materialise
from vmdash.virt.guest import Guest, GuestFacts
from vmdash.virt.inventory import UnreadGuest
from vmdash.virt.network import Network
from vmdash.virt.node import Node
from vmdash.virt.pool import Pool
from vmdash.virt.translation import is_unsupported, supported, translate
from vmdash.virt.uri import Endpoint
from vmdash.virt.volume import Volume
from vmdash.virt.xml.secret import volume_secret_xml


class CloseReason(StrEnum):
    """Why a connection ended (``virConnectCloseReason``)."""

    ERROR = "error"
    EOF = "eof"
    KEEPALIVE = "keepalive"
    CLIENT = "client"


_CLOSE_REASONS = (CloseReason.ERROR, CloseReason.EOF, CloseReason.KEEPALIVE, CloseReason.CLIENT)


@dataclass(slots=True)
class Features:
    """What this daemon turned out to be able to; None while nobody has asked yet.

    ``stats_flags`` for ``getAllDomainStats``; ``guest_events`` are the ids of the event kinds it sends.
    """

    stats_flags: int | None = None
    guest_events: frozenset[int] | None = None


class HostConnection:
    """One open connection. Blocking; used by one thread at a time, ``close`` included.

    Probe first (``vmdash.virt.probe``): opening cannot be cancelled and never returns from a daemon that hangs.
    """

    def __init__(self, raw: libvirt.virConnect, endpoint: Endpoint, name: str) -> None:
        self.raw = raw
        self.endpoint = endpoint
        self.name = name
        self.features = Features()
        self._on_close: Callable[[CloseReason], None] | None = None
        self._is_closed = False

    @classmethod
    def open(
        cls,
        endpoint: Endpoint,
        credentials: Credentials | None = None,
        *,
        runtime_dir: Path,
        name: str = "",
        read_only: bool = False,
        keepalive: tuple[int, int] | None = (5, 3),
    ) -> HostConnection:
        """Connect. Raises HostError, InvalidInput.

        ``name`` is what messages call the host. ``keepalive`` is (interval in seconds, count) and needs
        ``vmdash.virt.eventloop``; None turns it off.
        """
        if keepalive is not None and not eventloop.is_registered():
            raise RuntimeError("keepalive needs vmdash.virt.eventloop.use_asyncio() or start_thread() first")
        credentials = credentials or Credentials()
        name = name or endpoint.address or str(endpoint)
        uri = materialise(endpoint, credentials, runtime_dir).uri
        flags = libvirt.VIR_CONNECT_RO if read_only else 0
        auth = [[libvirt.VIR_CRED_AUTHNAME, libvirt.VIR_CRED_PASSPHRASE], _answer, credentials]
        with translate(f"connect to {name}", connecting=True):
            raw = libvirt.openAuth(uri, auth, flags)
            with _unless_unsupported():
                if keepalive is not None:
                    raw.setKeepAlive(*keepalive)
        return cls(raw, endpoint, name)

    def on_close(self, callback: Callable[[CloseReason], None]) -> None:
        """Have ``callback`` called once, on the event loop's thread, when the connection ends by itself.

        It must only hand over. Drivers without a daemon (``test``, local) never call it.
        """
        self._on_close = callback
        with translate("watch the connection", self.name), _unless_unsupported():
            self.raw.registerCloseCallback(self._closed, None)

    def _closed(self, _raw: libvirt.virConnect, reason: int, _opaque: Any) -> None:
        if self._on_close is not None:
            self._on_close(_CLOSE_REASONS[reason] if reason < len(_CLOSE_REASONS) else CloseReason.ERROR)

    def is_alive(self) -> bool:
        """Whether the connection is usable as far as the client side knows; asks nothing over the network."""
        if self._is_closed:  # libvirt has freed it, and would look at what is not there any more
            return False
        try:
            return bool(self.raw.isAlive())
        except libvirt.libvirtError:
            return False

    def close(self) -> None:
        """End it; a second time does nothing.

        Never while another thread is inside a call: libvirt frees the connection here, or else when the last handle
        made from it is gone (see ``Guest.release``).
        """
        if self._is_closed:
            return
        self._is_closed, self._on_close = True, None
        with contextlib.suppress(libvirt.libvirtError):
            self.raw.unregisterCloseCallback()
        with contextlib.suppress(libvirt.libvirtError):
            self.raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Guests

    def guests(self) -> list[Guest]:
        """Every guest the host has defined or runs."""
        with translate("list the guests", self.name):
            return [Guest(domain, self.name) for domain in self.raw.listAllDomains()]

    def inventory(
        self, handle: Callable[[str], Guest] | None = None
    ) -> Iterator[tuple[GuestFacts, Guest] | UnreadGuest]:
        """The facts of every guest, in far fewer calls than asking each: one a step, after a few for the first.

        ``handle`` gives a guest by its UUID, where it is at hand already; it may raise GuestNotFound.
        """
        return inventory.read(self.raw, self.name, handle or self.guest)

    def guest(self, uuid: str) -> Guest:
        """Raises GuestNotFound."""
        with translate(f"find guest {uuid}", self.name):
            return Guest(self.raw.lookupByUUIDString(uuid), self.name)

    def guest_named(self, name: str) -> Guest:
        """Raises GuestNotFound."""
        with translate(f"find guest {name}", self.name):
            return Guest(self.raw.lookupByName(name), self.name)

    def define(self, xml: str) -> Guest:
        """Define a guest, or change the definition of one. The daemon validates the XML. Raises InvalidDefinition."""
        with translate("define the guest", self.name):
            return Guest(self.raw.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE), self.name)

    # Everything else

    @cached_property
    def node(self) -> Node:
        """The machine itself."""
        return Node(self.raw, self.name)

    def pools(self) -> list[Pool]:
        """Every storage pool; none where the driver has no storage."""
        with translate("list the storage pools", self.name):
            pools: list[libvirt.virStoragePool] = supported(self.raw.listAllStoragePools, [])
        return [Pool(pool, self.name) for pool in pools]

    def pool(self, name: str) -> Pool:
        """Raises PoolNotFound."""
        with translate(f"find storage pool {name}", self.name):
            return Pool(self.raw.storagePoolLookupByName(name), self.name)

    def pool_with_uuid(self, uuid: str) -> Pool:
        """Raises PoolNotFound."""
        with translate(f"find storage pool {uuid}", self.name):
            return Pool(self.raw.storagePoolLookupByUUIDString(uuid), self.name)

    def define_pool(self, xml: str) -> Pool:
        """Define a storage pool, or change the definition of one. Raises InvalidDefinition."""
        with translate("define the storage pool", self.name):
            return Pool(self.raw.storagePoolDefineXML(xml), self.name)

    def open_folder(self, name: str, path: str) -> Pool:
        """A pool over a folder that is there, for a moment: nothing of it is kept, and ``stop`` ends it."""
        root = etree.Element("pool", type="dir")
        etree.SubElement(root, "name").text = name
        etree.SubElement(etree.SubElement(root, "target"), "path").text = path
        with translate(f"look into {path}", self.name):
            return Pool(self.raw.storagePoolCreateXML(etree.tostring(root, encoding="unicode")), self.name)

    def volume_at(self, path: str) -> Volume:
        """The volume with that path, in whatever active pool. Raises VolumeNotFound."""
        with translate(f"find a volume at {path}", self.name):
            return Volume(self.raw.storageVolLookupByPath(path), self.name)

    def volume_with_key(self, key: str) -> Volume:
        """Raises VolumeNotFound."""
        with translate(f"find the volume with key {key}", self.name):
            return Volume(self.raw.storageVolLookupByKey(key), self.name)

    def set_volume_secret(self, uuid: str, usage: str, passphrase: str) -> None:
        """Give the host the passphrase of encrypted volumes, or another one under the same UUID. Nobody can read it
        back through libvirt (``private``); the host keeps it over restarts, since guests need it to start.

        ``usage`` says what for, and is unique on the host.
        """
        with translate("store a passphrase", self.name):
            secret = self.raw.secretDefineXML(volume_secret_xml(uuid, usage))
            secret.setValue(passphrase.encode())

    def forget_volume_secret(self, uuid: str) -> None:
        """A host that has none of that UUID is left as it is."""
        with translate("forget a passphrase", self.name):
            try:
                self.raw.secretLookupByUUIDString(uuid).undefine()
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_SECRET:
                    raise

    def networks(self) -> list[Network]:
        """Every virtual network; none where the driver has no networks."""
        with translate("list the networks", self.name):
            networks: list[libvirt.virNetwork] = supported(self.raw.listAllNetworks, [])
        return [Network(network, self.name) for network in networks]

    def network(self, name: str) -> Network:
        """Raises NetworkNotFound."""
        with translate(f"find network {name}", self.name):
            return Network(self.raw.networkLookupByName(name), self.name)


def _answer(requests: list[list[Any]], credentials: Credentials) -> int:
    """libvirt's questions while it authenticates: each one is [type, prompt, challenge, default, answer]."""
    for request in requests:
        if request[0] == libvirt.VIR_CRED_AUTHNAME:
            request[4] = credentials.sasl_username
        elif request[0] == libvirt.VIR_CRED_PASSPHRASE:
            request[4] = credentials.sasl_password
        else:
            return -1
    return 0


@contextlib.contextmanager
def _unless_unsupported() -> Iterator[None]:
    try:
        yield
    except libvirt.libvirtError as error:
        if not is_unsupported(error):
            raise

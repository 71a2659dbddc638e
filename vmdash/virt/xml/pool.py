"""Storage pools as XML: what is read of one, and what is asked for. Source: formatstorage, "Storage pool XML"."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace

from lxml import etree

from vmdash.exceptions import InvalidInput
from vmdash.virt import xml
from vmdash.virt.xml.pool_types import FIELD_WORDS, POOL_TYPES, Field, PoolType

_OWN = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class PoolDefinition:
    """``type`` is libvirt's; ``path`` is where it is on the host and may be empty.

    ``source`` is the network storage it is made of, in the same words on every host that reaches it
    ("nfs1:/export/vms"), and empty for what is local. ``made_of`` says for people what is behind it, local or not.
    """

    name: str
    uuid: str
    type: str
    path: str
    source: str
    made_of: str

    @classmethod
    def parse(cls, text: str) -> PoolDefinition:
        """Raises InvalidDefinition."""
        root = xml.parse(text)
        kind = root.get("type", "")
        source = root.find("./source")
        if source is None:
            source = etree.Element("source")
        network = _network_source(kind, source)
        return cls(
            name=root.findtext("./name", ""),
            uuid=root.findtext("./uuid", ""),
            type=kind,
            path=root.findtext("./target/path", ""),
            source=network,
            made_of=network or _local_source(source),
        )


def _network_source(kind: str, source: etree._Element) -> str:
    """Empty for types whose source names nothing outside the host: their volume groups and disks have local names."""
    hosts = sorted({_address(host) for host in source.findall("./host")} - {""})
    if any(split_address(host)[0] in _OWN for host in hosts):
        return ""  # on each host another one
    folder = _get(source, "./dir", "path")
    name = source.findtext("./name", "")
    match kind:
        case "netfs" if hosts and folder:
            if _get(source, "./format", "type") == "cifs":
                return f"//{','.join(hosts)}/{folder.strip('/')}"
            return f"{','.join(hosts)}:{_tidy(folder)}"
        case "iscsi" | "iscsi-direct" if hosts:
            return f"iscsi://{','.join(hosts)}/{_get(source, './device', 'path')}"
        case "rbd" if hosts and name:
            return f"rbd:{name}@{','.join(hosts)}"
        case "gluster" if hosts and name:
            return f"gluster://{','.join(hosts)}/{name}{_tidy(folder).rstrip('/') if folder else ''}"
        case "sheepdog" if hosts and name:
            return f"sheepdog:{name}@{','.join(hosts)}"
        case "vstorage" if name:
            return f"vstorage://{name}"
    return ""


def _local_source(source: etree._Element) -> str:
    devices = [device.get("path", "") for device in source.findall("./device")]
    adapter = source.find("./adapter")
    if name := source.findtext("./name", ""):
        return f"{name} ({', '.join(devices)})" if devices else name
    if adapter is not None:
        return adapter.get("name") or adapter.get("wwpn") or ""
    return ", ".join(devices)


def _address(host: etree._Element) -> str:
    name, port = host.get("name", "").lower().rstrip("."), host.get("port", "")
    if ":" in name and port:
        name = f"[{name}]"
    return f"{name}:{port}" if name and port not in ("", "0") else name


def _tidy(folder: str) -> str:
    return "/" + posixpath.normpath(folder).strip("/")


def _get(source: etree._Element, path: str, attribute: str) -> str:
    element = source.find(path)
    return "" if element is None else element.get(attribute, "")


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """A pool to be defined. Which fields count is told by its type (`POOL_TYPES`); the others are empty.

    ``hosts`` are names or addresses, each with ``:PORT`` where that is not the usual one, IPv6 in brackets; ``adapter``
    is a name ("host3") or, for an NPIV adapter, its WWNN and WWPN with a comma in between; ``secret`` is the UUID of a
    libvirt secret on that host.
    """

    name: str
    type: str
    path: str = ""
    hosts: tuple[str, ...] = ()
    folder: str = ""
    devices: tuple[str, ...] = ()
    source_name: str = ""
    format: str = ""
    adapter: str = ""
    initiator: str = ""
    username: str = ""
    secret: str = ""

    def checked(self) -> PoolSpec:
        """The same with what may be left out filled in. Raises InvalidInput for what libvirt would refuse."""
        kind = _known_type(self.type)
        if not self.name.strip() or "/" in self.name or "\n" in self.name:
            raise InvalidInput("A pool needs a name, without “/”.")
        spec = replace(self, path=self.path or kind.default_path)
        for field in Field:
            if getattr(spec, field) and field not in (*kind.needs, *kind.takes):
                raise InvalidInput(f"A pool of the type {kind.key} has no {FIELD_WORDS[field]}.")
            if field in kind.needs and not getattr(spec, field):
                raise InvalidInput(f"A pool of the type {kind.key} needs the {FIELD_WORDS[field]}.")
        for words, value in (("path", spec.path), ("folder", spec.folder if spec.format != "cifs" else "")):
            if value and not value.startswith("/"):
                raise InvalidInput(f"The {words} must begin with “/”: {value}")
        if len(spec.hosts) > 1 and kind.one_host:
            raise InvalidInput(f"A pool of the type {kind.key} has one server.")
        if len(spec.devices) > 1 and kind.one_device:
            raise InvalidInput(f"A pool of the type {kind.key} has one device.")
        if spec.format and spec.format not in kind.formats:
            raise InvalidInput(f"The format {spec.format} is none of {', '.join(kind.formats)}.")
        if bool(spec.username) != bool(spec.secret):
            raise InvalidInput("A user name needs a secret, and a secret a user name.")
        return spec

    def to_xml(self) -> str:
        """Raises InvalidInput for what libvirt would refuse."""
        spec = self.checked()
        kind = POOL_TYPES[spec.type]
        root = etree.Element("pool", type=kind.key)
        etree.SubElement(root, "name").text = spec.name
        source = etree.Element("source")
        for host in spec.hosts:
            name, port = split_address(host)
            etree.SubElement(source, "host", {"name": name, **({"port": port} if port else {})})
        if spec.folder:
            etree.SubElement(source, "dir", path=spec.folder)
        for device in spec.devices:
            etree.SubElement(source, "device", path=device)
        if spec.source_name:
            etree.SubElement(source, "name").text = spec.source_name
        if spec.format:
            etree.SubElement(source, "format", type=spec.format)
        elif kind.key == "logical":
            etree.SubElement(source, "format", type="lvm2")
        if spec.adapter:
            etree.SubElement(source, "adapter", _adapter(spec.adapter))
        if spec.initiator:
            etree.SubElement(etree.SubElement(source, "initiator"), "iqn", name=spec.initiator)
        if spec.username:
            auth = etree.SubElement(source, "auth", type=kind.auth, username=spec.username)
            etree.SubElement(auth, "secret", uuid=spec.secret)
        if len(source):
            root.append(source)
        if spec.path:
            etree.SubElement(etree.SubElement(root, "target"), "path").text = spec.path
        return etree.tostring(root, encoding="unicode")


def _known_type(key: str) -> PoolType:
    try:
        return POOL_TYPES[key]
    except KeyError:
        raise InvalidInput(f"There is no pool type {key[:40]!r}.", hint=f"Types: {', '.join(POOL_TYPES)}.") from None


def split_address(text: str) -> tuple[str, str]:
    """Name and port of "ceph1", "ceph1:6789", "2001:db8::1" or "[2001:db8::1]:6789"; the port may be empty."""
    if text.startswith("["):
        name, _, port = text[1:].partition("]")
        return name, port.lstrip(":")
    if text.count(":") == 1:
        name, _, port = text.partition(":")
        return name, port
    return text, ""


def _adapter(text: str) -> dict[str, str]:
    wwnn, comma, wwpn = (part.strip() for part in text.partition(","))
    if comma:
        return {"type": "fc_host", "wwnn": wwnn, "wwpn": wwpn}
    return {"type": "scsi_host", "name": text.strip()}

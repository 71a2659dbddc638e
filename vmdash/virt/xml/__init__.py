"""Reading XML from hosts and people, safely: no entities, no document types, no network."""

from __future__ import annotations

from lxml import etree

from vmdash.virt.errors import InvalidDefinition

MAX_BYTES = 4 * 1024 * 1024


def parse(text: str) -> etree._Element:
    """The root element. Raises InvalidDefinition, also for any DOCTYPE: libvirt needs none, attacks do."""
    data = text.encode()
    if len(data) > MAX_BYTES:
        raise InvalidDefinition(f"The XML is larger than {MAX_BYTES // 1024 // 1024} MiB.")
    # A parser each time: they are not safe to share between threads, and cost microseconds.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise InvalidDefinition(
            "The XML is not well-formed.", hint="See the details for where.", detail=str(error)
        ) from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise InvalidDefinition(
            "The XML has a document type (DOCTYPE), which is not accepted.", hint="Remove the DOCTYPE and all entities."
        )
    return root


def children(element: etree._Element | None) -> dict[str, etree._Element]:
    """What stands in an element, by tag; of several with the same tag the first. For those of whom much is asked: all
    of it costs less than `find` for one.
    """
    return {} if element is None else {child.tag: child for child in reversed(element)}


def integer(text: str | None) -> int | None:
    """A decimal number, or None for what is none."""
    return int(text) if text and text.strip().isdecimal() else None


_UNITS = {
    "b": 1, "bytes": 1, "kb": 10**3, "k": 2**10, "kib": 2**10, "mb": 10**6, "m": 2**20, "mib": 2**20,
    "gb": 10**9, "g": 2**30, "gib": 2**30, "tb": 10**12, "t": 2**40, "tib": 2**40,
}  # fmt: skip


def size_bytes(element: etree._Element | None, default_unit: str = "KiB") -> int | None:
    """A size such as ``<memory unit='MiB'>512</memory>`` in bytes. Source: formatdomain, "memory allocation"."""
    if element is None or (number := integer(element.text)) is None:
        return None
    return number * _UNITS.get((element.get("unit") or default_unit).lower(), 1)

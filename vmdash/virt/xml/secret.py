"""Secrets as XML. Source: formatsecret."""

from __future__ import annotations

from lxml import etree


def volume_secret_xml(uuid: str, usage: str) -> str:
    """A passphrase of volumes that the host keeps to itself."""
    root = etree.Element("secret", ephemeral="no", private="yes")
    etree.SubElement(root, "uuid").text = uuid
    element = etree.SubElement(root, "usage", type="volume")
    etree.SubElement(element, "volume").text = usage
    return etree.tostring(root, encoding="unicode")

"""A clone's definition, made of its source's. `VMDASH_TEST_REWRITE=1` writes the expected files anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lxml import etree

from vmdash.virt.errors import InvalidDefinition
from vmdash.virt.xml.clone import Identity, ImageFile, clone_definition, nvram_path, own_path

FOLDER = Path(__file__).parent / "clones"

IDENTITIES = {
    "efi": Identity(
        name="web2",
        uuid="0f1d9a52-7c0e-4f0b-9a39-4d5cf2c0a7e2",
        macs=("52:54:00:00:00:01", "52:54:00:00:00:02"),
        disks={
            "vda": ImageFile("/dev/fast/web2", "raw", block=True),
            "vdb": ImageFile("/var/lib/libvirt/images/web2-data.qcow2", "qcow2"),
        },
        nvram="/var/lib/libvirt/qemu/nvram/web2_VARS.fd",
    ),
    "running": Identity(
        name="db2",
        uuid="0f1d9a52-7c0e-4f0b-9a39-4d5cf2c0a7e3",
        macs=tuple(f"52:54:00:00:01:0{number}" for number in range(4)),
        disks={"vda": ImageFile("/images/db2.qcow2", "qcow2")},
    ),
}


def cloned(name: str) -> str:
    return clone_definition((FOLDER / f"{name}-in.xml").read_text(), IDENTITIES[name]) + "\n"


@pytest.mark.parametrize("name", IDENTITIES)
def test_the_definition_of_a_clone(name: str) -> None:
    expected = FOLDER / f"{name}-out.xml"
    if os.environ.get("VMDASH_TEST_REWRITE") == "1":
        expected.write_text(cloned(name))
    assert cloned(name) == expected.read_text()


def values(definition: str, path: str) -> list[str]:
    found = etree.fromstring(definition).xpath(path)
    assert isinstance(found, list)
    return [str(one) for one in found]


@pytest.mark.parametrize("name", IDENTITIES)
def test_a_clone_shares_no_address_name_or_secret_with_its_source(name: str) -> None:
    source, clone = (FOLDER / f"{name}-in.xml").read_text(), cloned(name)
    for path in ("./name/text()", "./uuid/text()", "./genid/text()", ".//mac/@address", "./os/nvram/text()"):
        assert not set(values(source, path)) & set(values(clone, path))
    for path in (".//@passwd", ".//@passwdValidTo", ".//@portid", ".//@tty", ".//@interfaceid", ".//@mode[.='bind']"):
        assert values(clone, path) == []
    assert [alias for alias in values(clone, ".//alias/@name") if not alias.startswith("ua-")] == []


def test_what_is_not_known_here_survives() -> None:
    clone = cloned("efi")
    assert values(clone, "./devices/invention/@since") == ["2031"]
    assert values(clone, "./metadata/*/*/@id") == ["http://debian.org/debian/12"]
    assert values(clone, "//*[local-name()='arg']/@value") == ["-no-hpet"]


def test_shared_disks_stay_as_they_are() -> None:
    cdrom = "./devices/disk[@device='cdrom']/source"
    assert values(cloned("efi"), f"{cdrom}/@file") == ["/var/lib/libvirt/images/debian.iso"]
    assert values(cloned("efi"), f"{cdrom}/@startupPolicy") == ["optional"]


def test_another_number_of_interfaces_than_was_prepared_for_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match="2 network interfaces, and 0"):
        clone_definition((FOLDER / "efi-in.xml").read_text(), Identity("web2", "x", ()))


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/nvram/web1_VARS.fd", "/nvram/web2_VARS.fd"),
        ("/nvram/VARS.fd", "/nvram/VARS-web2.fd"),
        ("/web1/console", "/web1/console-web2"),
    ],
)
def test_a_file_of_the_guests_own_gets_the_clones_name(path: str, own: str) -> None:
    assert own_path(path, "web1", "web2") == own


def test_where_the_firmwares_variables_are() -> None:
    assert nvram_path((FOLDER / "efi-in.xml").read_text()) == "/var/lib/libvirt/qemu/nvram/web1_VARS.fd"
    assert nvram_path((FOLDER / "running-in.xml").read_text()) == ""
    newer = "<domain><os><nvram type='file'><source file='/a/b'/></nvram></os></domain>"
    assert nvram_path(newer) == "/a/b"

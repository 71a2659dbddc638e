"""Definitions as libvirt writes them, and XML that wants to do harm."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdash.virt.errors import InvalidDefinition
from vmdash.virt.xml import parse, size_bytes
from vmdash.virt.xml.domain import (
    Channel,
    Console,
    Disk,
    DiskImage,
    DomainDefinition,
    Graphics,
    HostDevice,
    Interface,
    NumaTune,
    SecurityLabel,
)

LIVE = (Path(__file__).parent / "live-guest.xml").read_text()
"""What `virsh dumpxml` gives of a running guest, with a device of each kind."""


def wrapped(inside: str) -> str:
    return f"<domain type='kvm'><name>x</name><memory>1024</memory>{inside}</domain>"


def test_the_head_of_a_definition() -> None:
    domain = DomainDefinition.parse(LIVE)
    assert (domain.type, domain.name, domain.uuid) == ("qemu", "db1", "c0ab88af-4083-56dc-ad7f-691b3bb37dc5")
    assert (domain.title, domain.description) == ("Orders database", "Primary. Nightly dump at 02:30")
    assert (domain.vcpus, domain.max_vcpus) == (2, 4)
    assert (domain.memory_kib, domain.max_memory_kib) == (131072, 262144)
    assert (domain.os_type, domain.arch, domain.machine, domain.firmware) == ("hvm", "x86_64", "pc-q35-7.2", "efi")
    assert domain.emulator == "/usr/bin/qemu-system-x86_64"


def test_disks_with_their_backing_chains() -> None:
    disk, volume, cdrom, network = DomainDefinition.parse(LIVE).disks
    assert disk == Disk(
        target="vda",
        device="disk",
        bus="virtio",
        type="file",
        source="/images/db1.qcow2",
        format="qcow2",
        readonly=False,
        shareable=False,
        alias="virtio-disk0",
        backing=(
            DiskImage("file", "/images/overlay.qcow2", "qcow2"),
            DiskImage("file", "/images/base.qcow2", "raw"),
        ),
    )
    assert (volume.source, volume.shareable, volume.backing) == ("shared/data.img", True, ())
    assert (cdrom.device, cdrom.source, cdrom.readonly) == ("cdrom", "", True)
    assert network.source == "rbd:pool/image"


def test_a_network_on_a_bridge_of_the_host_stays_a_network_while_the_guest_runs() -> None:
    source = "<interface type='bridge'><source network='lan' portid='1' bridge='br0'/></interface>"
    (card,) = DomainDefinition.parse(
        f"<domain type='kvm'><name>a</name><devices>{source}</devices></domain>"
    ).interfaces
    assert (card.type, card.source) == ("network", "lan")


def test_interfaces_of_every_kind_of_source() -> None:
    domain = DomainDefinition.parse(LIVE)
    assert domain.interfaces[0] == Interface("52:54:00:90:09:0b", "network", "default", "virtio", "vnet2", "net0")
    assert [interface.source for interface in domain.interfaces] == ["default", "br0", "eth0", "/run/vhost.sock"]


def test_consoles_and_channels() -> None:
    domain = DomainDefinition.parse(LIVE)
    assert domain.graphics == (
        Graphics("vnc", "127.0.9.1", 8600, None, "", True),
        Graphics("spice", "0.0.0.0", 5901, 5902, "", False),
        Graphics("vnc", "", None, None, "/run/vnc.sock", False),
    )
    assert domain.consoles == (
        Console("serial", "pty", "isa-serial", 0, "/dev/pts/2", "serial0"),
        Console("console", "pty", "serial", 0, "/dev/pts/2", "serial0"),
    )
    assert domain.channels == (Channel("org.qemu.guest_agent.0", True), Channel("com.redhat.spice.0", False))
    assert domain.agent_connected is True


def test_devices_of_the_host() -> None:
    pci, usb, scsi = DomainDefinition.parse(LIVE).host_devices
    assert pci == HostDevice("pci", "subsystem", "0000:03:00.1", True, "hostdev0")
    assert usb.source == "046d:c52b"
    assert scsi.source == "scsi_host3:0:0:0"


def test_placement_and_confinement() -> None:
    domain = DomainDefinition.parse(LIVE)
    assert domain.numatune == NumaTune("strict", "0-1", "static")
    assert (domain.cpuset, domain.emulator_pin) == ("0-3", "0")
    assert domain.vcpu_pins == ((0, "1"), (1, "2-3"))
    assert domain.security_labels == (SecurityLabel("apparmor", "dynamic", "libvirt-c0ab88af"),)


def test_a_guest_that_is_off_tells_neither_ports_nor_the_agents_state() -> None:
    domain = DomainDefinition.parse(
        wrapped(
            "<devices><graphics type='vnc' port='-1' autoport='yes'/>"
            "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel></devices>"
        )
    )
    assert domain.graphics == (Graphics("vnc", "", None, None, "", True),)
    assert domain.agent_connected is None


def test_the_least_definition_has_sensible_values() -> None:
    domain = DomainDefinition.parse(wrapped(""))
    assert (domain.vcpus, domain.max_vcpus, domain.memory_kib, domain.firmware) == (1, 1, 1024, "bios")
    assert (domain.disks, domain.numatune, domain.agent_connected) == ((), None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<memory>1</memory>", 1024),
        ("<memory unit='b'>7</memory>", 7),
        ("<memory unit='KB'>1</memory>", 1000),
        ("<memory unit='MiB'>2</memory>", 2 * 1024**2),
        ("<memory unit='G'>1</memory>", 1024**3),
        ("<memory unit='TiB'>1</memory>", 1024**4),
        ("<memory>much</memory>", None),
    ],
)
def test_sizes_have_units(text: str, expected: int | None) -> None:
    assert size_bytes(parse(text)) == expected


BOMB = "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;'>]>"


@pytest.mark.parametrize(
    "text",
    [
        f"{BOMB}{wrapped('<title>&b;</title>')}",
        f"<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>{wrapped('<title>&x;</title>')}",
        f"<!DOCTYPE d SYSTEM 'http://127.0.0.1:1/x.dtd'>{wrapped('')}",
        f"<!DOCTYPE domain>{wrapped('')}",
        wrapped("<title>&unknown;</title>"),
        "<domain>",
        "",
        "hello",
        "<network><name>x</name></network>",
        "<domain/>",
        wrapped("<title>" + "x" * 5_000_000 + "</title>"),
        "\0",
        "<a>" * 500 + "</a>" * 500,
    ],
    ids=lambda text: text[:40],
)
def test_harmful_and_broken_xml_is_refused(text: str) -> None:
    with pytest.raises(InvalidDefinition):
        DomainDefinition.parse(text)


def test_no_entity_ever_becomes_text() -> None:
    with pytest.raises(InvalidDefinition) as caught:
        parse("<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/hostname'>]><d>&x;</d>")
    assert "DOCTYPE" in caught.value.message


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        DomainDefinition.parse(text)
    except InvalidDefinition as error:
        assert error.message


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="<&\r", exclude_categories=["C"])))
def test_any_title_comes_through(title: str) -> None:
    assert DomainDefinition.parse(wrapped(f"<title>{title.replace('>', '&gt;')}</title>")).title == title

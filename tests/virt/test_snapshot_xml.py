"""Snapshots as XML: what is read, what is written. `REWRITE_GOLDEN=1` writes the golden files anew."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vmdash.virt.errors import InvalidDefinition
from vmdash.virt.xml.disks import with_files, with_images_of
from vmdash.virt.xml.domain import DomainDefinition
from vmdash.virt.xml.snapshot import (
    DiskSpec,
    Place,
    SnapshotDefinition,
    SnapshotDisk,
    SnapshotSpec,
    domain_of,
    with_other_files,
)

GOLDEN = Path(__file__).parent / "snapshots"
EXTERNAL = (GOLDEN / "external-in.xml").read_text()
"""What `virsh snapshot-dumpxml` gives of a running guest's external one with memory."""


def check_golden(name: str, text: str) -> None:
    file = GOLDEN / name
    if os.environ.get("REWRITE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


def test_an_external_snapshot_is_read() -> None:
    snapshot = SnapshotDefinition.parse(EXTERNAL)
    assert (snapshot.name, snapshot.parent) == ("mail1-20261124-181500-before-update", "")
    assert (snapshot.description, snapshot.state) == ("Before the update", "running")
    assert snapshot.created_at == datetime(2026, 11, 24, 17, 55, 53, tzinfo=UTC)
    assert (snapshot.memory, snapshot.memory_file) == (Place.EXTERNAL, "/var/lib/libvirt/images/a.mem")
    assert snapshot.disks == (
        SnapshotDisk(
            target="vda",
            place=Place.EXTERNAL,
            base="/var/lib/libvirt/images/mail1.qcow2",
            base_format="qcow2",
            overlay="/var/lib/libvirt/images/mail1-vda-x.qcow2",
            overlay_format="qcow2",
        ),
    )
    assert snapshot.is_external
    assert not snapshot.is_internal


def test_what_is_asked_for_is_written() -> None:
    spec = SnapshotSpec(
        name="web1-20261124-181500-a&b",
        description="<quoted> & kept",
        disks=(
            DiskSpec("vda", Place.EXTERNAL, overlay="/images/web1 vda.qcow2"),
            DiskSpec("vdb", Place.INTERNAL),
            DiskSpec("sda", Place.NONE),
        ),
        memory=Place.EXTERNAL,
        memory_file="/images/web1.mem",
    )
    check_golden("spec-out.xml", spec.to_xml() + "\n")


def test_disks_move_to_other_files_and_the_rest_stays() -> None:
    moved = with_files(domain_of(EXTERNAL), {"vda": "/images/fresh.qcow2"})
    check_golden("fresh-overlay-out.xml", moved)
    (disk,) = DomainDefinition.parse(moved).disks
    assert (disk.source, disk.format, disk.bus) == ("/images/fresh.qcow2", "qcow2", "virtio")
    back = with_images_of(moved, domain_of(EXTERNAL), ["vda"])
    assert DomainDefinition.parse(back).disks == DomainDefinition.parse(domain_of(EXTERNAL)).disks


def test_a_disk_that_is_not_there_cannot_be_moved() -> None:
    with pytest.raises(InvalidDefinition, match="mail1 has no disk vdz"):
        with_files(domain_of(EXTERNAL), {"vdz": "/images/fresh.qcow2"})


def test_a_merged_file_is_replaced_by_the_one_below_it() -> None:
    changed = with_other_files(EXTERNAL, {"/var/lib/libvirt/images/mail1.qcow2": "/images/below.qcow2"})
    assert changed is not None
    check_golden("merged-out.xml", changed)
    assert SnapshotDefinition.parse(changed).disks[0].base == "/images/below.qcow2"
    assert SnapshotDefinition.parse(changed).disks[0].overlay == "/var/lib/libvirt/images/mail1-vda-x.qcow2"
    assert with_other_files(EXTERNAL, {"/images/another.qcow2": "/images/below.qcow2"}) is None


@pytest.mark.parametrize("text", ["<domain><name>x</name></domain>", "<domainsnapshot/>", "<"])
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    with pytest.raises(InvalidDefinition):
        SnapshotDefinition.parse(text)


def test_a_snapshot_without_a_definition_of_its_guest_is_read() -> None:
    snapshot = SnapshotDefinition.parse(
        "<domainsnapshot><name>a</name><disks><disk name='vda' snapshot='internal'/></disks></domainsnapshot>"
    )
    assert snapshot.disks == (SnapshotDisk("vda", Place.INTERNAL, "", "", "", ""),)
    assert snapshot.created_at is None
    with pytest.raises(InvalidDefinition, match="no definition"):
        domain_of("<domainsnapshot><name>a</name></domainsnapshot>")

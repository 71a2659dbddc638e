"""Storage pools as XML: every type that libvirt offers, as libvirt wants it and as libvirt gives it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from lxml import etree

from tests.libvirtd import TestDriverHost
from vmdash.exceptions import InvalidInput
from vmdash.virt.xml.pool import PoolDefinition, PoolSpec, split_address
from vmdash.virt.xml.pool_types import POOL_TYPES

SCHEMA = Path("/usr/share/libvirt/schemas/storagepool.rng")
SECRET = "12345678-1234-1234-1234-123456789abc"
IQN = "iqn.2026-11.org.example:vms"
OWN_IQN = "iqn.2026-11.org.example:kvm1"

# What is asked for, what libvirt gets, and the source that the same pool has on every host.
POOLS: list[tuple[PoolSpec, str, str]] = [
    (
        PoolSpec("images", "dir", path="/srv/images"),
        "<pool type='dir'><name>images</name><target><path>/srv/images</path></target></pool>",
        "",
    ),
    (
        PoolSpec("data", "fs", devices=("/dev/sdb1",), format="xfs", path="/srv/data"),
        "<pool type='fs'><name>data</name><source><device path='/dev/sdb1'/><format type='xfs'/></source>"
        "<target><path>/srv/data</path></target></pool>",
        "",
    ),
    (
        PoolSpec("vms", "netfs", hosts=("NFS1",), folder="/export//vms/", format="nfs", path="/srv/vms"),
        "<pool type='netfs'><name>vms</name><source><host name='NFS1'/><dir path='/export//vms/'/>"
        "<format type='nfs'/></source><target><path>/srv/vms</path></target></pool>",
        "nfs1:/export/vms",
    ),
    (
        PoolSpec("share", "netfs", hosts=("files",), folder="vms", format="cifs", path="/srv/share"),
        "<pool type='netfs'><name>share</name><source><host name='files'/><dir path='vms'/>"
        "<format type='cifs'/></source><target><path>/srv/share</path></target></pool>",
        "//files/vms",
    ),
    (
        PoolSpec("vg", "logical", source_name="vg0", devices=("/dev/sdc", "/dev/sdd"), path="/dev/vg0"),
        "<pool type='logical'><name>vg</name><source><device path='/dev/sdc'/><device path='/dev/sdd'/>"
        "<name>vg0</name><format type='lvm2'/></source><target><path>/dev/vg0</path></target></pool>",
        "",
    ),
    (
        PoolSpec("disk", "disk", devices=("/dev/sde",), format="gpt"),
        "<pool type='disk'><name>disk</name><source><device path='/dev/sde'/><format type='gpt'/></source>"
        "<target><path>/dev</path></target></pool>",
        "",
    ),
    (
        PoolSpec("san", "iscsi", hosts=("san1:3261",), devices=(IQN,), username="vmdash", secret=SECRET),
        f"<pool type='iscsi'><name>san</name><source><host name='san1' port='3261'/><device path='{IQN}'/>"
        f"<auth type='chap' username='vmdash'><secret uuid='{SECRET}'/></auth></source>"
        "<target><path>/dev/disk/by-path</path></target></pool>",
        f"iscsi://san1:3261/{IQN}",
    ),
    (
        PoolSpec("direct", "iscsi-direct", hosts=("2001:db8::1",), devices=(IQN,), initiator=OWN_IQN),
        f"<pool type='iscsi-direct'><name>direct</name><source><host name='2001:db8::1'/><device path='{IQN}'/>"
        f"<initiator><iqn name='{OWN_IQN}'/></initiator></source></pool>",
        f"iscsi://2001:db8::1/{IQN}",
    ),
    (
        PoolSpec("luns", "scsi", adapter="host3"),
        "<pool type='scsi'><name>luns</name><source><adapter type='scsi_host' name='host3'/></source>"
        "<target><path>/dev/disk/by-path</path></target></pool>",
        "",
    ),
    (
        PoolSpec("npiv", "scsi", adapter="20000000c9831b4b, 10000000c9831b4b"),
        "<pool type='scsi'><name>npiv</name><source><adapter type='fc_host' wwnn='20000000c9831b4b'"
        " wwpn='10000000c9831b4b'/></source><target><path>/dev/disk/by-path</path></target></pool>",
        "",
    ),
    (
        PoolSpec("multi", "mpath"),
        "<pool type='mpath'><name>multi</name><target><path>/dev/mapper</path></target></pool>",
        "",
    ),
    (
        PoolSpec("ceph", "rbd", source_name="vms", hosts=("ceph2", "ceph1:6789"), username="vmdash", secret=SECRET),
        "<pool type='rbd'><name>ceph</name><source><host name='ceph2'/><host name='ceph1' port='6789'/>"
        f"<name>vms</name><auth type='ceph' username='vmdash'><secret uuid='{SECRET}'/></auth></source></pool>",
        "rbd:vms@ceph1:6789,ceph2",
    ),
    (
        PoolSpec("gluster", "gluster", source_name="vol1", hosts=("gl1",), folder="/vms"),
        "<pool type='gluster'><name>gluster</name><source><host name='gl1'/><dir path='/vms'/><name>vol1</name>"
        "</source></pool>",
        "gluster://gl1/vol1/vms",
    ),
    (
        PoolSpec("tank", "zfs", source_name="tank/vms"),
        "<pool type='zfs'><name>tank</name><source><name>tank/vms</name></source></pool>",
        "",
    ),
    (
        PoolSpec("virtuozzo", "vstorage", source_name="cluster1", path="/vstorage/vms"),
        "<pool type='vstorage'><name>virtuozzo</name><source><name>cluster1</name></source>"
        "<target><path>/vstorage/vms</path></target></pool>",
        "vstorage://cluster1",
    ),
]  # fmt: skip
each_pool = pytest.mark.parametrize(("spec", "expected", "source"), POOLS, ids=[spec.name for spec, _, _ in POOLS])


def canonical(text: str) -> bytes:
    return etree.tostring(etree.fromstring(text), method="c14n")


@cache
def schema() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(str(SCHEMA)))


def test_every_type_is_among_the_examples() -> None:
    assert {spec.type for spec, _, _ in POOLS} == set(POOL_TYPES)


@each_pool
def test_what_is_asked_for_is_what_libvirt_gets(spec: PoolSpec, expected: str, source: str) -> None:
    assert canonical(spec.to_xml()) == canonical(expected)


@pytest.mark.skipif(not SCHEMA.exists(), reason="libvirt's schemas are not installed")
@each_pool
def test_it_is_valid_by_libvirt_s_own_schema(spec: PoolSpec, expected: str, source: str) -> None:
    schema().assertValid(etree.fromstring(spec.to_xml()))


@each_pool
def test_libvirt_takes_it_and_gives_the_same_source_back(
    spec: PoolSpec, expected: str, source: str, libvirtd: TestDriverHost
) -> None:
    pool = libvirtd.connection.define_pool(spec.to_xml())
    facts = pool.facts()
    pool.undefine()

    assert (facts.name, facts.type, facts.source) == (spec.name, spec.type, source)
    assert facts.target_path == spec.checked().path or not spec.path


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (PoolSpec("x", "floppy"), "There is no pool type 'floppy'"),
        (PoolSpec("", "dir", path="/srv"), "needs a name"),
        (PoolSpec("a/b", "dir", path="/srv"), "needs a name"),
        (PoolSpec("x", "dir"), "needs the path"),
        (PoolSpec("x", "dir", path="srv"), "must begin with"),
        (PoolSpec("x", "dir", path="/srv", hosts=("nfs1",)), "has no server"),
        (PoolSpec("x", "netfs", hosts=("a", "b"), folder="/v", path="/srv"), "has one server"),
        (PoolSpec("x", "disk", devices=("/dev/sda", "/dev/sdb")), "has one device"),
        (PoolSpec("x", "disk", devices=("/dev/sda",), format="ntfs"), "none of"),
        (PoolSpec("x", "rbd", source_name="vms", hosts=("ceph1",), username="admin"), "needs a secret"),
    ],
)
def test_what_libvirt_would_refuse_is_refused_in_words(spec: PoolSpec, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        spec.to_xml()


def test_a_source_on_the_host_itself_is_nobody_else_s() -> None:
    spec = PoolSpec("vms", "netfs", hosts=("localhost",), folder="/export", path="/srv/vms")

    assert PoolDefinition.parse(spec.to_xml()).source == ""


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ceph1", ("ceph1", "")),
        ("ceph1:6789", ("ceph1", "6789")),
        ("2001:db8::1", ("2001:db8::1", "")),
        ("[2001:db8::1]:6789", ("2001:db8::1", "6789")),
    ],
)
def test_an_address_has_a_name_and_perhaps_a_port(text: str, parts: tuple[str, str]) -> None:
    assert split_address(text) == parts

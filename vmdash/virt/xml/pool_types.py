"""The types of storage pool that libvirt offers, and what each of them needs to know. Source: storage.html."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Field(StrEnum):
    """What may be said of a pool besides its name; the names are those of `PoolSpec`."""

    PATH = "path"
    HOSTS = "hosts"
    FOLDER = "folder"
    DEVICES = "devices"
    SOURCE_NAME = "source_name"
    FORMAT = "format"
    ADAPTER = "adapter"
    INITIATOR = "initiator"
    USERNAME = "username"
    SECRET = "secret"  # noqa: S105  (a UUID of one)


FIELD_WORDS = {
    Field.PATH: "path on the host",
    Field.HOSTS: "server",
    Field.FOLDER: "folder on the server",
    Field.DEVICES: "device",
    Field.SOURCE_NAME: "name of the source",
    Field.FORMAT: "format",
    Field.ADAPTER: "adapter",
    Field.INITIATOR: "initiator",
    Field.USERNAME: "user name",
    Field.SECRET: "secret",
}


@dataclass(frozen=True, slots=True)
class PoolType:
    """One type. `auth` is the sort of credentials it takes: chap, ceph or none."""

    key: str
    label: str
    words: str
    """What it is, in a sentence for people who choose one."""
    needs: tuple[Field, ...] = ()
    takes: tuple[Field, ...] = ()
    """What may be left out."""
    formats: tuple[str, ...] = ()
    auth: str = ""
    default_path: str = ""
    one_device: bool = True
    one_host: bool = True
    builds: bool = False
    """Whether "build" makes something: a folder, a file system, a volume group."""
    deletes: bool = False
    """Whether "delete" destroys what it is made of."""

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(field for field in Field if field in self.needs or field in self.takes)


_FS_FORMATS = ("auto", "ext2", "ext3", "ext4", "ufs", "iso9660", "udf", "gfs", "gfs2", "vfat", "hfs+", "xfs", "ocfs2")
_DISK_FORMATS = ("gpt", "dos", "dvh", "mac", "bsd", "pc98", "sun", "lvm2")
_F = Field

POOL_TYPES: dict[str, PoolType] = {
    one.key: one
    for one in (
        PoolType(
            key="dir",
            label="Folder",
            words="A folder of the host. Volumes are files in it.",
            needs=(_F.PATH,),
            builds=True,
            deletes=True,
        ),
        PoolType(
            key="fs",
            label="File system",
            words="A disk or partition that the host mounts. Volumes are files on it.",
            needs=(_F.DEVICES, _F.PATH),
            takes=(_F.FORMAT,),
            formats=_FS_FORMATS,
            builds=True,
            deletes=True,
        ),
        PoolType(
            key="netfs",
            label="Network file system (NFS, CIFS, GlusterFS)",
            words="An export of a file server that the host mounts. Volumes are files on it.",
            needs=(_F.HOSTS, _F.FOLDER, _F.PATH),
            takes=(_F.FORMAT,),
            formats=("auto", "nfs", "glusterfs", "cifs"),
            builds=True,
            deletes=True,
        ),
        PoolType(
            key="logical",
            label="Volume group (LVM)",
            words="An LVM volume group, which can be built of devices. Volumes are logical volumes.",
            needs=(_F.SOURCE_NAME,),
            takes=(_F.DEVICES, _F.PATH),
            one_device=False,
            builds=True,
            deletes=True,
        ),
        PoolType(
            key="disk",
            label="Disk",
            words="A whole disk of the host. Volumes are its partitions.",
            needs=(_F.DEVICES,),
            takes=(_F.FORMAT, _F.PATH),
            formats=_DISK_FORMATS,
            default_path="/dev",
            builds=True,
        ),
        PoolType(
            key="iscsi",
            label="iSCSI target",
            words="A target that the host logs in to. Its LUNs are the volumes; they are made on the server.",
            needs=(_F.HOSTS, _F.DEVICES),
            takes=(_F.PATH, _F.INITIATOR, _F.USERNAME, _F.SECRET),
            auth="chap",
            default_path="/dev/disk/by-path",
        ),
        PoolType(
            key="iscsi-direct",
            label="iSCSI target, by QEMU itself",
            words="A target that guests reach through QEMU's own initiator; the host does not log in.",
            needs=(_F.HOSTS, _F.DEVICES, _F.INITIATOR),
            takes=(_F.USERNAME, _F.SECRET),
            auth="chap",
        ),
        PoolType(
            key="scsi",
            label="SCSI adapter",
            words="A SCSI or Fibre Channel adapter of the host. Its LUNs are the volumes.",
            needs=(_F.ADAPTER,),
            takes=(_F.PATH,),
            default_path="/dev/disk/by-path",
        ),
        PoolType(
            key="mpath",
            label="Multipath devices",
            words="All multipath devices of the host. One such pool a host is enough.",
            takes=(_F.PATH,),
            default_path="/dev/mapper",
        ),
        PoolType(
            key="rbd",
            label="Ceph RBD",
            words="A pool of a Ceph cluster. Volumes are RBD images.",
            needs=(_F.SOURCE_NAME, _F.HOSTS),
            takes=(_F.USERNAME, _F.SECRET),
            auth="ceph",
            one_host=False,
        ),
        PoolType(
            key="gluster",
            label="GlusterFS volume, by QEMU itself",
            words="A volume of a GlusterFS cluster, which QEMU reaches without mounting it.",
            needs=(_F.HOSTS, _F.SOURCE_NAME),
            takes=(_F.FOLDER,),
            one_host=False,
        ),
        PoolType(
            key="zfs",
            label="ZFS pool",
            words="A zpool, which can be built of devices, or a dataset in one. Volumes are ZFS volumes.",
            needs=(_F.SOURCE_NAME,),
            takes=(_F.DEVICES,),
            one_device=False,
            builds=True,
            deletes=True,
        ),
        PoolType(
            key="vstorage",
            label="Virtuozzo Storage",
            words="A Virtuozzo Storage cluster that the host mounts. Volumes are files on it.",
            needs=(_F.SOURCE_NAME, _F.PATH),
            builds=True,
        ),
    )
}
"""By libvirt's name."""

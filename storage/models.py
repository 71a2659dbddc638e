"""Storage pools and volumes of the hosts, as they were seen last."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from hosts.models import Host
from hosts.places import from_host
from vmdash.access.encryption import EncryptedTextField
from vmdash.access.reach import Place, PlacedQuerySet


class Storage(models.Model):
    """What several pools show: one and the same storage, reached from several hosts.

    A guest on it can move between those hosts without its disks being copied.
    """

    class Evidence(models.TextChoices):
        """How vmdash knows."""

        SOURCE = "source", "same source"
        """The pools name the same server and export, volume group, RBD pool …"""
        MARKER = "marker", "tried out"
        """A volume made through one pool was seen through the others."""

    name = models.CharField(max_length=255)
    evidence = models.CharField(max_length=10, choices=Evidence)
    known_since = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=Q(evidence="source"), name="one_storage_per_source"),
        ]

    def __str__(self) -> str:
        return self.name


class PoolQuerySet(PlacedQuerySet["Pool"]):
    paths = from_host("host")


class Pool(models.Model):
    """One storage pool of one host. Written by whoever surveys the host's storage, and by jobs that changed it."""

    class State(models.TextChoices):
        """libvirt's virStoragePoolState."""

        INACTIVE = "inactive", "stopped"
        BUILDING = "building", "being built"
        RUNNING = "running", "active"
        DEGRADED = "degraded", "degraded"
        INACCESSIBLE = "inaccessible", "inaccessible"

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="storage_pools")
    uuid = models.UUIDField()
    name = models.CharField(max_length=255)
    type = models.CharField(max_length=20)
    """libvirt's: dir, fs, netfs, logical, disk, iscsi, iscsi-direct, scsi, mpath, rbd, gluster, zfs, vstorage …"""
    state = models.CharField(max_length=12, choices=State)
    persistent = models.BooleanField(default=True)
    autostart = models.BooleanField(default=False)
    capacity_bytes = models.PositiveBigIntegerField(default=0)
    allocation_bytes = models.PositiveBigIntegerField(default=0)
    available_bytes = models.PositiveBigIntegerField(default=0)
    path = models.CharField(max_length=1000, blank=True)
    """Where it is on the host (`<target><path>`); empty where the type has none."""
    source = models.CharField(max_length=1000, blank=True)
    """What it is made of, the same text on every host that reaches it: "nfs1:/export/vms"; empty for what is local."""
    storage = models.ForeignKey(Storage, on_delete=models.SET_NULL, null=True, blank=True, related_name="pools")
    """Set when it is known to be reached from other hosts, too."""
    xml = models.TextField(blank=True)
    """The definition without secrets."""
    seen_at = models.DateTimeField()
    """When its volumes were last read or, while it tells of none, the pool itself."""
    trouble = models.CharField(max_length=500, blank=True)
    """Why its volumes could not be read, in a sentence."""

    objects = PoolQuerySet.as_manager()

    class Meta:
        ordering = ["host__name", "name"]
        constraints = [
            models.UniqueConstraint(fields=["host", "uuid"], name="one_pool_per_uuid_and_host"),
        ]

    def __str__(self) -> str:
        return f"{self.name} on {self.host.name}"

    def places(self) -> list[Place]:
        """Where grants reach it: those of its host."""
        return self.host.places()


class PoolEventQuerySet(PlacedQuerySet["PoolEvent"]):
    paths = from_host("host")


class PoolEvent(models.Model):
    """A pool of a host changed its state. It tells the state from then on, and outlives the pool's row.

    seen ──► state … ──► gone ──► seen …
    """

    class Kind(models.TextChoices):
        SEEN = "seen", "seen for the first time"
        STATE = "state", "changed its state"
        GONE = "gone", "is not on its host any more"

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="pool_events")
    uuid = models.UUIDField()
    name = models.CharField(max_length=255)
    at = models.DateTimeField()
    kind = models.CharField(max_length=5, choices=Kind)
    state = models.CharField(max_length=12, choices=Pool.State)
    """When it is gone, the last one."""
    witnessed = models.BooleanField(default=True)
    """Its host was being watched, so it is as exact as readings are; else it was so when the collector looked again."""

    objects = PoolEventQuerySet.as_manager()

    class Meta:
        ordering = ["at", "id"]
        indexes = [
            models.Index(fields=["host", "uuid", "at"], name="events_of_pool"),
            models.Index(fields=["at"], name="pool_events_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.kind} {self.state}"


class VolumeQuerySet(PlacedQuerySet["Volume"]):
    paths = from_host("pool__host")


class Volume(models.Model):
    """One volume of a pool, as it was read last."""

    pool = models.ForeignKey(Pool, on_delete=models.CASCADE, related_name="volumes")
    name = models.CharField(max_length=255)
    key = models.CharField(max_length=1000)
    """libvirt's unique key on that host; for files the path."""
    path = models.CharField(max_length=1000)
    kind = models.CharField(max_length=10)
    """libvirt's type: file, block, dir, network, netdir, ploop."""
    format = models.CharField(max_length=20, blank=True)
    """qcow2, raw, iso …; empty where libvirt does not tell."""
    capacity_bytes = models.PositiveBigIntegerField(default=0)
    allocation_bytes = models.PositiveBigIntegerField(default=0)
    backing_path = models.CharField(max_length=1000, blank=True)
    """The file or device that holds what this one does not; empty without one."""
    backing_format = models.CharField(max_length=20, blank=True)
    encrypted = models.BooleanField(default=False)
    changed_at = models.DateTimeField(default=timezone.now)
    """From when this row is: what a survey read before that is older."""

    objects = VolumeQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["pool", "name"], name="one_volume_per_name_and_pool")]
        indexes = [models.Index(fields=["path"]), models.Index(fields=["backing_path"])]

    def __str__(self) -> str:
        return self.name

    def places(self) -> list[Place]:
        """Where grants reach it: those of its host."""
        return self.pool.places()

    @property
    def is_medium(self) -> bool:
        """It is there to be put into a CD-ROM drive."""
        return self.format == "iso" or self.name.lower().endswith(".iso")

    @property
    def is_disk(self) -> bool:
        """It can be the disk of a guest by itself."""
        return self.format in ("qcow2", "raw") and self.kind in ("file", "block") and not self.encrypted


class VolumeSecret(models.Model):
    """The passphrase of an encrypted volume. The host has it as a libvirt secret of the same UUID."""

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4)
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="volume_secrets")
    pool_name = models.CharField(max_length=255)
    volume_name = models.CharField(max_length=255)
    passphrase = EncryptedTextField()

    def __str__(self) -> str:
        return f"passphrase of {self.volume_name} in {self.pool_name} on {self.host.name}"


class Upload(models.Model):
    """A file on its way from a browser into a new volume.

    The job makes the volume and waits; the transfer gateway writes what the browser sends, from `received_bytes` on,
    as often as the browser comes back.
    """

    class State(models.TextChoices):
        PREPARING = "preparing", "being prepared"
        OPEN = "open", "waiting for its content"
        RECEIVED = "received", "received"
        CLOSED = "closed", "closed"
        """The job has ended, in whatever way: nothing more is taken."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    pool = models.ForeignKey(Pool, on_delete=models.CASCADE, related_name="uploads")
    volume_name = models.CharField(max_length=255)
    file_name = models.CharField(max_length=255, blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads")
    job_id = models.UUIDField(null=True, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.PREPARING)
    size_bytes = models.PositiveBigIntegerField()
    received_bytes = models.PositiveBigIntegerField(default=0)
    """What the host has for certain."""
    sha256_expected = models.CharField(max_length=64, blank=True)
    sha256_received = models.CharField(max_length=64, blank=True)
    """Of what passed; empty when the gateway was restarted on the way, and the volume has to be read back."""
    error = models.CharField(max_length=500, blank=True)
    """Why the host refused what came, in a sentence."""
    touched_at = models.DateTimeField(auto_now_add=True)
    """When something was sent last."""

    def __str__(self) -> str:
        return f"{self.file_name} into {self.volume_name}"


class ImageQuerySet(PlacedQuerySet["Image"]):
    """Those with a copy that a person may see; `open_to`: in one of their places."""

    paths = from_host("copies__pool__host")


class Image(models.Model):
    """An image of the library: the same bytes, known by their checksum, on whichever hosts need them."""

    class Kind(models.TextChoices):
        ISO = "iso", "installation medium"
        DISK = "disk", "disk"

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=4, choices=Kind)
    format = models.CharField(max_length=20)
    size_bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64, blank=True)
    """Of the file; empty until it was first read."""
    description = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")

    objects = ImageQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ImageCopyQuerySet(PlacedQuerySet["ImageCopy"]):
    paths = from_host("pool__host")


class ImageCopy(models.Model):
    """A volume that holds an image."""

    class State(models.TextChoices):
        COPYING = "copying", "being copied"
        UNCHECKED = "unchecked", "not checked yet"
        GOOD = "good", "checksum right"
        BAD = "bad", "checksum wrong"

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="copies")
    pool = models.ForeignKey(Pool, on_delete=models.CASCADE, related_name="image_copies")
    volume_name = models.CharField(max_length=255)
    state = models.CharField(max_length=10, choices=State, default=State.UNCHECKED)
    checked_at = models.DateTimeField(null=True, blank=True)

    objects = ImageCopyQuerySet.as_manager()

    class Meta:
        ordering = ["pool__host__name", "pool__name"]
        constraints = [models.UniqueConstraint(fields=["pool", "volume_name"], name="one_image_per_volume")]

    def __str__(self) -> str:
        return f"{self.image} in {self.pool}"

    def places(self) -> list[Place]:
        """Where grants reach it: those of its host."""
        return self.pool.places()

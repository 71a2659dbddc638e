"""Guests. A guest is its UUID, wherever it runs; the code uses libvirt's word, domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q

from domains.capacity.models import CapacityMail as CapacityMail
from domains.capacity.models import CapacityRecord as CapacityRecord
from domains.capacity.models import GuestUse as GuestUse
from domains.capacity.models import Outlook as Outlook
from domains.draining.models import Drain as Drain
from domains.draining.models import DrainedGuest as DrainedGuest
from domains.places import GUEST_PATHS, from_guest
from domains.snapshots.models import ScheduledSnapshot as ScheduledSnapshot
from domains.snapshots.models import Snapshot as Snapshot
from domains.snapshots.models import SnapshotSchedule as SnapshotSchedule
from domains.timeline.models import GuestEvent as GuestEvent
from hosts.models import Host, Tag
from vmdash.access.reach import Place, PlacedQuerySet, Scope, within
from vmdash.access.table import Permission
from vmdash.jobs.models import Job

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User


class DomainState(models.TextChoices):
    """libvirt's states (virDomainState) in people's words. `vmdash.virt.states` has the reasons."""

    NOSTATE = "nostate", "no state"
    RUNNING = "running", "running"
    IDLE = "idle", "idle"
    PAUSED = "paused", "paused"
    IN_SHUTDOWN = "in_shutdown", "shutting down"
    SHUT_OFF = "shut_off", "shut off"
    CRASHED = "crashed", "crashed"
    DYING = "dying", "dying"
    PMSUSPENDED = "pmsuspended", "asleep"


ACTIVE_STATES = (
    DomainState.RUNNING,
    DomainState.IDLE,
    DomainState.PAUSED,
    DomainState.IN_SHUTDOWN,
    DomainState.PMSUSPENDED,
    DomainState.DYING,
)


class DomainQuerySet(PlacedQuerySet["Domain"]):
    paths = GUEST_PATHS

    def open_to(self, user: User | AnonymousUser, permission: Permission) -> Self:
        return within(self.present(), user, self.paths, permission)

    def present(self) -> Self:
        """Guests that exist; one that was undefined keeps its row for a while."""
        return self.filter(gone_at=None)


class Domain(models.Model):
    """One guest, as the collector saw it last. Only `tags`, `owner`, `note` and `is_template` are people's; the rest
    is libvirt's.

    The row follows the guest: `host` is where it is active, or else where it is defined (see
    `Sighting`). When nobody defines it any more `gone_at` is set, and the row with its tags comes
    back to life if the UUID appears again, so a migration never loses anything on its way.
    """

    class Agent(models.TextChoices):
        """Whether the QEMU guest agent's channel is there and answers."""

        NONE = "none", "not configured"
        DISCONNECTED = "disconnected", "not running in the guest"
        CONNECTED = "connected", "connected"
        SILENT = "silent", "connected but does not answer"

    uuid = models.UUIDField(primary_key=True)
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="domains")
    tags = models.ManyToManyField(Tag, blank=True, related_name="domains")
    name = models.CharField(max_length=255)
    title = models.CharField(max_length=255, blank=True)
    description = models.TextField(blank=True)
    state = models.CharField(max_length=12, choices=DomainState)
    state_reason = models.CharField(max_length=40, blank=True)
    """One of `vmdash.virt.states.reasons(state)`, such as `io_error`."""
    state_since = models.DateTimeField()
    """When the collector first saw this state; `state_since_known` tells whether it saw the change itself."""
    state_since_known = models.BooleanField(default=False)
    gone_at = models.DateTimeField(null=True, blank=True)
    is_template = models.BooleanField(default=False)
    """People's mark: it is there to be cloned, and never starts."""
    split_brain = models.BooleanField(default=False)
    """Active on two hosts at once."""
    persistent = models.BooleanField(default=True)
    autostart = models.BooleanField(default=False)
    has_managed_save = models.BooleanField(default=False)
    vcpus = models.PositiveIntegerField(default=0)
    max_vcpus = models.PositiveIntegerField(default=0)
    memory_kib = models.PositiveBigIntegerField(default=0)
    max_memory_kib = models.PositiveBigIntegerField(default=0)
    domain_type = models.CharField(max_length=20, blank=True)
    """`kvm`, `qemu`, `xen`, `lxc` or `test`: what runs it."""
    arch = models.CharField(max_length=20, blank=True)
    machine = models.CharField(max_length=60, blank=True)
    os_name = models.CharField(max_length=120, blank=True)
    """What the guest agent calls the operating system."""
    agent = models.CharField(max_length=12, choices=Agent, default=Agent.NONE)
    logged_in = models.JSONField(null=True, blank=True)
    """Who is logged in, as the guest agent told last: `[{"name", "since"}]`, in ISO 8601 or None; None: not known."""
    owner = models.CharField(max_length=120, blank=True)
    """People's word for whose guest it is."""
    note = models.CharField(max_length=500, blank=True)
    """What people should know before they stop it, such as what depends on it."""
    addresses = models.JSONField(default=list, blank=True)
    """`["192.0.2.7", "2001:db8::7"]`, loopback and link-local left out."""
    disks = models.JSONField(default=list, blank=True)
    """`[{"target", "bus", "device", "source", "format", "readonly", "backing", "limits", "limit_group"}]`; `backing`
    are the images behind it, nearest first, known while it runs; `limits` are those of libvirt's `iotune`:
    `{"read_bytes_sec": 1}`, shared by all disks of one `limit_group`."""
    interfaces = models.JSONField(default=list, blank=True)
    """`[{"mac", "model", "kind", "source", "target"}]`."""
    graphics = models.JSONField(default=list, blank=True)
    """`[{"kind", "listen", "port", "autoport"}]`; never a password."""
    has_serial = models.BooleanField(default=False)
    numa_cells = models.JSONField(default=list, blank=True)
    """Cells of the numatune policy, empty when there is none: `[0]`."""
    vcpu_pins = models.JSONField(default=dict, blank=True)
    """The physical CPUs that vCPUs are pinned to, by vCPU: `{"0": [1]}`; those that are not may run anywhere."""
    security_label = models.CharField(max_length=200, blank=True)
    xml = models.TextField(blank=True)
    """The definition without secrets (`virDomainGetXMLDesc` with the INACTIVE flag)."""

    objects = DomainQuerySet.as_manager()

    class Meta:
        ordering = ["name", "uuid"]
        # For pages, which show those that exist. Definitions are long: what is counted is read off an index alone.
        indexes = [
            models.Index(fields=["name", "uuid"], condition=Q(gone_at=None), name="guests_by_name"),
            models.Index(fields=["host", "state", "vcpus"], condition=Q(gone_at=None), name="guests_by_host_and_state"),
            models.Index(fields=["state", "state_since"], condition=Q(gone_at=None), name="guests_by_state"),
            models.Index(fields=["state_since"], condition=Q(gone_at=None), name="guests_by_change"),
            models.Index(fields=["host"], condition=Q(split_brain=True), name="guests_running_twice"),
        ]

    def __str__(self) -> str:
        return self.name

    def places(self) -> list[Place]:
        """Where grants reach it: by itself, by its tags, and by its host."""
        models.prefetch_related_objects([self], "tags")
        tags = [(Scope.TAG, str(tag.pk)) for tag in self.tags.all()]
        return [(Scope.GUEST, str(self.pk)), *tags, *self.host.places()]

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE_STATES


class Sighting(models.Model):
    """That a host defines or runs a guest. A guest seen active on two hosts is a split brain."""

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="sightings")
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="sightings")
    state = models.CharField(max_length=12, choices=DomainState)
    state_reason = models.CharField(max_length=40, blank=True)
    seen_at = models.DateTimeField()
    """When it was first seen here in that state."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["domain", "host"], name="one_sighting_per_host")]

    def __str__(self) -> str:
        return f"{self.domain_id} on {self.host_id}: {self.state}"


class MigrationQuerySet(PlacedQuerySet["Migration"]):
    paths = from_guest("domain")


class Migration(models.Model):
    """One move of a guest from host to host, and what it took. Kept with the guest."""

    class Outcome(models.TextChoices):
        MOVED = "moved", "moved"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="migrations")
    job = models.OneToOneField(Job, on_delete=models.SET_NULL, null=True, related_name="migration")
    source_name = models.CharField(max_length=64)
    target_name = models.CharField(max_length=64)
    how = models.CharField(max_length=60)
    """In words: "live", "live, with 1 disk", "while off"."""
    outcome = models.CharField(max_length=10, choices=Outcome)
    error = models.CharField(max_length=500, blank=True)
    started_at = models.DateTimeField()
    duration_ms = models.PositiveBigIntegerField()
    downtime_ms = models.PositiveIntegerField(null=True, blank=True)
    """How long the guest stood still, as the hypervisor measured it; unknown when it does not tell."""
    transferred_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    rounds = models.PositiveIntegerField(null=True, blank=True)
    """Over the guest's memory."""

    objects = MigrationQuerySet.as_manager()

    class Meta:
        ordering = ["-started_at"]
        indexes = [models.Index(fields=["source_name", "target_name", "-started_at"], name="moves_between_hosts")]

    def __str__(self) -> str:
        return f"{self.domain} from {self.source_name} to {self.target_name}"

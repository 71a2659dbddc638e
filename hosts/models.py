"""The inventory of hosts: what people entered, and what the collector saw."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from hosts.places import HOST_PATHS
from vmdash.access.encryption import EncryptedTextField
from vmdash.access.reach import Place, PlacedQuerySet, Scope


class Site(models.Model):
    """A place that holds hosts: a data centre, a room, a lab."""

    name = models.CharField(max_length=60, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def places(self) -> list[Place]:
        return [(Scope.SITE, str(self.pk))]


class Tag(models.Model):
    """A label that people put on hosts and guests."""

    name = models.CharField(
        max_length=40,
        unique=True,
        validators=[RegexValidator(r"^[\w.-]+\Z", "Letters, digits, dot, dash, underscore.")],
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def places(self) -> list[Place]:
        return [(Scope.TAG, str(self.pk))]


class Driver(models.TextChoices):
    """The hypervisor driver of libvirt that a host is asked for."""

    QEMU = "qemu", "QEMU/KVM"
    XEN = "xen", "Xen"
    LXC = "lxc", "LXC"
    TEST = "test", "Test driver"


class Transport(models.TextChoices):
    """How libvirtd is reached."""

    SSH = "ssh", "SSH"
    LIBSSH = "libssh", "SSH (libssh)"
    TLS = "tls", "TLS"
    TCP = "tcp", "TCP (SASL)"
    UNIX = "unix", "UNIX socket on this machine"


class Credential(models.Model):
    """What opens a host. Secrets are encrypted at rest and never shown again."""

    class Kind(models.TextChoices):
        SSH_KEY = "ssh_key", "SSH key"
        SASL = "sasl", "SASL user and password"
        TLS = "tls", "TLS client certificate"

    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=10, choices=Kind)
    username = models.CharField(max_length=120, blank=True)
    password = EncryptedTextField(blank=True)
    private_key = EncryptedTextField(blank=True)
    """PEM or OpenSSH text: of the SSH key, or of the TLS client certificate."""
    certificate = models.TextField(blank=True)
    """PEM: the TLS client certificate."""
    ca_certificate = models.TextField(blank=True)
    """PEM: who must have signed the host's certificate."""

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class HostQuerySet(PlacedQuerySet["Host"]):
    paths = HOST_PATHS


class Host(models.Model):
    """One libvirt host.

    The upper half is what people entered, the lower half what the collector saw last; only the
    collector writes the lower half.
    """

    class State(models.TextChoices):
        """What the collector knows of the connection.

        new → up → unreachable → up …; `disabled` is shown instead for a host that is switched off.
        """

        NEW = "new", "not seen yet"
        UP = "up", "connected"
        UNREACHABLE = "unreachable", "does not answer"
        REFUSED = "refused", "refuses the connection"

    class Maintenance(models.TextChoices):
        """Whether people take the host out of use.

        none → draining → maintenance → returning → none. A drain that is cancelled before it moved anything leads back
        to none, a return that does not bring everything back leads back to maintenance.
        """

        NONE = "none", "in use"
        DRAINING = "draining", "draining"
        MAINTENANCE = "maintenance", "in maintenance"
        RETURNING = "returning", "guests return"

    name = models.CharField(
        max_length=64,
        unique=True,
        validators=[
            RegexValidator(r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z", "Letters, digits, dot, dash; a letter or digit first.")
        ],
    )
    site = models.ForeignKey(Site, on_delete=models.SET_NULL, null=True, blank=True, related_name="hosts")
    tags = models.ManyToManyField(Tag, blank=True, related_name="hosts")
    description = models.CharField(max_length=500, blank=True)
    enabled = models.BooleanField(default=True)
    maintenance = models.CharField(max_length=12, choices=Maintenance, default=Maintenance.NONE)
    maintenance_since = models.DateTimeField(null=True, blank=True)
    maintenance_by = models.CharField(max_length=150, blank=True)

    driver = models.CharField(max_length=10, choices=Driver, default=Driver.QEMU)
    transport = models.CharField(max_length=10, choices=Transport, default=Transport.SSH)
    address = models.CharField(max_length=253, blank=True)
    """A host name or IP address; empty for `unix`."""
    port = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    username = models.CharField(max_length=64, blank=True)
    """The account on the host, for SSH."""
    path = models.CharField(max_length=200, default="/system")
    """The path of the libvirt URI: `/system`, `/session`, `/default` or a test driver's file."""
    migration_uri = models.CharField(max_length=300, blank=True)
    """The libvirt URI under which other hosts reach this one, to send it guests; empty: as vmdash reaches it."""
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, null=True, blank=True, related_name="hosts")
    known_host_key = models.TextField(blank=True)
    """The SSH host key that a person confirmed, as a known_hosts line without the host pattern: `TYPE BASE64`."""
    known_certificate = models.TextField(blank=True)
    """PEM: what a person confirmed for TLS (`ServerCertificate.pem`); trusted in place of a CA."""
    fast_interval_s = models.PositiveSmallIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    slow_interval_s = models.PositiveSmallIntegerField(null=True, blank=True, validators=[MinValueValidator(2)])

    state = models.CharField(max_length=12, choices=State, default=State.NEW)
    state_since = models.DateTimeField(auto_now_add=True)
    state_reason = models.CharField(max_length=500, blank=True)
    """Why it is not up, in a sentence with what to do next."""
    last_seen_at = models.DateTimeField(null=True, blank=True)
    """When the host last answered. Written at changes of state and at each sweep; the live cache is newer."""
    lease_token = models.BigIntegerField(default=0)
    """Of the lease under which a collector writes about this host; one with an older token may not (see `leases`)."""
    hostname = models.CharField(max_length=253, blank=True)
    host_uuid = models.UUIDField(null=True, blank=True)
    hypervisor = models.CharField(max_length=20, blank=True)
    hypervisor_version = models.CharField(max_length=20, blank=True)
    libvirt_version = models.CharField(max_length=20, blank=True)
    hardware_virtualization = models.BooleanField(null=True, blank=True)
    arch = models.CharField(max_length=20, blank=True)
    cpu_model = models.CharField(max_length=80, blank=True)
    cpus = models.PositiveIntegerField(default=0)
    sockets = models.PositiveIntegerField(default=0)
    cores = models.PositiveIntegerField(default=0)
    threads = models.PositiveIntegerField(default=0)
    cpu_mhz = models.PositiveIntegerField(default=0)
    memory_kib = models.PositiveBigIntegerField(default=0)
    security_model = models.CharField(max_length=20, blank=True)
    cells = models.JSONField(default=list, blank=True)
    """NUMA cells: `[{"id": 0, "cpus": [0, 1], "memory_kib": 1048576, "distances": [10, 21]}]`."""
    pools = models.JSONField(default=list, blank=True)
    """`[{"name", "uuid", "type", "state", "autostart", "capacity_bytes", "allocation_bytes", "available_bytes"}]`."""
    networks = models.JSONField(default=list, blank=True)
    """`[{"name", "uuid", "active", "autostart", "bridge", "forward"}]`."""
    ksm = models.JSONField(null=True, blank=True)
    """Kernel same-page merging, as `hosts.ksm.words.ShownKsm` has it; None where the host tells nothing of it."""
    lacks = models.JSONField(default=list, blank=True)
    """What this host does not tell or offer, in words: "guest statistics", "CPU statistics"."""

    objects = HostQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=models.Q(driver__in=Driver.values), name="host_driver_known"),
            models.CheckConstraint(condition=models.Q(transport__in=Transport.values), name="host_transport_known"),
        ]

    def __str__(self) -> str:
        return self.name

    def places(self) -> list[Place]:
        """Where grants reach it."""
        models.prefetch_related_objects([self], "tags")  # read once, however often rights are asked for
        site = [(Scope.SITE, str(self.site_id))] if self.site_id else []
        return [(Scope.HOST, str(self.pk)), *site, *((Scope.TAG, str(tag.pk)) for tag in self.tags.all())]

    @property
    def is_closed(self) -> bool:
        """Whether no guest may start or arrive here. While guests return it is open again."""
        return self.maintenance in (Host.Maintenance.DRAINING, Host.Maintenance.MAINTENANCE)

    @property
    def in_maintenance(self) -> bool:
        """Whether there is anything to say about maintenance at all."""
        return self.maintenance != Host.Maintenance.NONE


class HostEvent(models.Model):
    """The connection to a host changed its state."""

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField()
    state = models.CharField(max_length=12, choices=Host.State)
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["at", "id"]
        indexes = [
            models.Index(fields=["host", "at"], name="events_of_host"),
            models.Index(fields=["at"], name="host_events_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.host}: {self.state}"

"""Rows for tests. What a test does not name has a harmless value; every row is valid.

Call `create()`, whose type is the row's: `HostFactory.create(name="kvm1")`.
"""

from __future__ import annotations

import uuid

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from domains.models import Domain, DomainState, Sighting, Snapshot, SnapshotSchedule
from hosts.models import Credential, Driver, Host, Site, Tag, Transport
from storage.models import Pool, Volume
from vmdash.access.models import User
from vmdash.access.roles import Role
from vmdash.jobs.models import Job

PASSWORD = "correct horse battery"
"""What every person made here signs in with."""


class UserFactory(DjangoModelFactory[User]):
    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda number: f"person{number}")
    password = factory.django.Password(PASSWORD)
    role = Role.VIEWER


def person_with(role: Role, pk: int) -> User:
    """Somebody who is in no database, and whose grants were read: they have none beside their role."""
    person = User(pk=pk, username="somebody", role=role)
    person.reach = person.reach_with([])
    return person


class SiteFactory(DjangoModelFactory[Site]):
    class Meta:
        model = Site

    name = factory.Sequence(lambda number: f"Site {number}")


class TagFactory(DjangoModelFactory[Tag]):
    class Meta:
        model = Tag

    name = factory.Sequence(lambda number: f"tag{number}")


class CredentialFactory(DjangoModelFactory[Credential]):
    class Meta:
        model = Credential

    name = factory.Sequence(lambda number: f"credential {number}")
    kind = Credential.Kind.SASL
    username = "vmdash"
    password = "sasl secret"


class HostFactory(DjangoModelFactory[Host]):
    """A connected QEMU host with eight CPUs and 16 GiB. It has an address where nobody listens."""

    class Meta:
        model = Host

    name = factory.Sequence(lambda number: f"node{number}")
    driver = Driver.QEMU
    transport = Transport.TCP
    address = "127.0.255.254"
    state = Host.State.UP
    last_seen_at = factory.LazyFunction(timezone.now)
    cpus = 8
    memory_kib = 16 * 1024 * 1024


class DomainFactory(DjangoModelFactory[Domain]):
    """A running guest with one vCPU and 512 MiB."""

    class Meta:
        model = Domain

    uuid = factory.LazyFunction(uuid.uuid4)
    host = factory.SubFactory(HostFactory)
    name = factory.Sequence(lambda number: f"guest{number}")
    state = DomainState.RUNNING
    state_since = factory.LazyFunction(timezone.now)
    vcpus = 1
    max_vcpus = 1
    memory_kib = 512 * 1024
    max_memory_kib = 512 * 1024
    domain_type = "qemu"
    arch = "x86_64"


def running_twice(*names: str, **fields: object) -> Domain:
    """A guest that runs on two new hosts of these names at once, the first of which its row follows."""
    found = [HostFactory.create(name=name) for name in names]
    guest = DomainFactory.create(host=found[0], split_brain=True, **fields)
    for host in found:
        Sighting.objects.create(domain=guest, host=host, state=DomainState.RUNNING, seen_at=timezone.now())
    return guest


class SnapshotFactory(DjangoModelFactory[Snapshot]):
    """Of the disk vda of a running guest, in an overlay, without its memory."""

    class Meta:
        model = Snapshot

    domain = factory.SubFactory(DomainFactory)
    name = factory.Sequence(lambda number: f"snapshot{number}")
    created_at = factory.LazyFunction(timezone.now)
    guest_state = "disk-snapshot"
    external = True
    disks = [{"target": "vda", "place": "external", "base": "/images/vda.qcow2", "overlay": "/images/vda-1.qcow2"}]


class ScheduleFactory(DjangoModelFactory[SnapshotSchedule]):
    """Every day at 02:00, of one guest; the last three stay."""

    class Meta:
        model = SnapshotSchedule

    name = factory.Sequence(lambda number: f"schedule{number}")
    domain = factory.SubFactory(DomainFactory)
    keep_daily = 0
    keep_weekly = 0
    handled_until = factory.LazyFunction(timezone.now)


class JobFactory(DjangoModelFactory[Job]):
    """A queued job for a guest: give it `domain=…` or the target fields."""

    class Meta:
        model = Job

    class Params:
        domain = factory.SubFactory(DomainFactory)

    kind = "domain.start"
    label = factory.LazyAttribute(lambda job: f"Start {job.target_name}")
    target_kind = "domain"
    target_id = factory.LazyAttribute(lambda job: str(job.domain.uuid))
    target_name = factory.LazyAttribute(lambda job: job.domain.name)
    host_name = factory.LazyAttribute(lambda job: job.domain.host.name)
    exclusive = True
    requested_by = factory.SubFactory(UserFactory, role=Role.OPERATOR)
    requested_by_name = factory.LazyAttribute(lambda job: job.requested_by.username)


class PoolFactory(DjangoModelFactory[Pool]):
    """A running folder of 100 GiB, half full, read just now."""

    class Meta:
        model = Pool

    host = factory.SubFactory(HostFactory)
    uuid = factory.LazyFunction(uuid.uuid4)
    name = factory.Sequence(lambda number: f"pool{number}")
    type = "dir"
    state = Pool.State.RUNNING
    capacity_bytes = 100 * 1024**3
    allocation_bytes = 50 * 1024**3
    available_bytes = 50 * 1024**3
    path = factory.LazyAttribute(lambda pool: f"/srv/{pool.name}")
    seen_at = factory.LazyFunction(timezone.now)


class VolumeFactory(DjangoModelFactory[Volume]):
    """A qcow2 file of 10 GiB that takes one."""

    class Meta:
        model = Volume

    pool = factory.SubFactory(PoolFactory)
    name = factory.Sequence(lambda number: f"disk{number}.qcow2")
    path = factory.LazyAttribute(lambda volume: f"{volume.pool.path}/{volume.name}")
    key = factory.SelfAttribute("path")
    kind = "file"
    format = "qcow2"
    capacity_bytes = 10 * 1024**3
    allocation_bytes = 1024**3

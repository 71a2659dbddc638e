"""The practice fleet as a stage: guests without an operating system, their disks, and their rows in the database."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connections
from django.utils import timezone
from lxml import etree

from domains.columns import definition_columns
from domains.models import Domain, DomainState
from domains.snapshots.recording import record_snapshots
from hosts.collector.inventory import SeenDefinition
from hosts.connect import connected
from hosts.models import Credential, Host
from storage.inventory import record_volume
from storage.models import Pool, Storage, Volume
from tests.factories import HostFactory
from tests.survival import picture
from tests.survival.picture import IMAGES, Picture
from vmdash.access.models import User
from vmdash.lab import xml
from vmdash.lab.commands import LabError, run
from vmdash.lab.qemu_host import QemuHost
from vmdash.virt.connection import HostConnection
from vmdash.virt.snapshot import snapshots

MIB = 1 << 20


@dataclass(frozen=True)
class Actor:
    """A guest of the tests' own. Its disks are full of `mib` MiB each that nobody can compress."""

    name: str
    home: str
    mib: int = 24
    disks: int = 1
    state: str = "shut off"
    """As virsh calls it."""
    layered: bool = False
    """Its disk is an overlay of another file."""
    snapshot: Mapping[str, Any] = field(default_factory=dict)
    """One that it has from the beginning: see `Stage._snapshot`."""

    @property
    def targets(self) -> list[str]:
        return [f"vd{letter}" for letter in "abc"[: self.disks]]

    def file(self, target: str = "vda") -> str:
        return f"{self.name}-{target}.qcow2"


class Stage:
    """All that a round needs of hosts and rows. Files are made once per test session, rows once per test."""

    def __init__(self, hosts: Mapping[str, QemuHost], user: User, store: Path) -> None:
        self.hosts, self.user, self.store = hosts, user, store
        self.rows = {name: _host_row(host) for name, host in hosts.items()}
        self._noise = threading.Lock()
        self.own: set[str] = set()
        """What the deeds' objects are called, or begin with."""

    # What is true

    def picture(self) -> Picture:
        return picture.take(self.hosts, self.own)

    def capacity_bytes(self, host: str, name: str) -> int:
        information = self.hosts[host].run(["qemu-img", "info", "-U", f"{IMAGES}/{name}"])
        return int(information.split("virtual size: ")[1].split("(")[1].split()[0])

    def same_content(self, one: str, other: str) -> bool:
        """Of two files, as `Picture.files` calls them."""
        try:
            said = run(["qemu-img", "compare", "-U", self.path(one), self.path(other)], timeout_s=60)
        except LabError as error:
            said = f"{error.message} {error.detail}"
        return "identical" in said

    def path(self, file: str) -> Path:
        """Where a file of a picture is, as seen from outside of the hosts."""
        host, _, rest = file.partition("/")
        if host == picture.SHARED:
            return next(iter(self.hosts.values())).lab.shared_images / rest
        folder, _, name = rest.partition("/")
        return self.hosts[host].root / picture.FOLDERS[folder].lstrip("/") / name

    # Rows

    def look(self) -> None:
        """Bring every row up to date, as the collectors would."""
        shared, _ = Storage.objects.get_or_create(name="shared", evidence=Storage.Evidence.MARKER)
        gone = set(Domain.objects.values_list("pk", flat=True))
        for row in self.rows.values():
            with connected(row) as connection:
                gone -= self._look_at_guests(row, connection)
                _look_at_storage(row, connection, shared)
        Domain.objects.filter(pk__in=gone).delete()

    def _look_at_guests(self, row: Host, connection: HostConnection) -> set[UUID]:
        seen = set()
        for guest in connection.guests():
            if not guest.name.startswith(tuple(self.own)):
                continue
            uuid, facts = UUID(guest.uuid), guest.facts()
            stored, live = guest.xml(inactive=True), guest.xml(inactive=not guest.is_active())
            columns = definition_columns(SeenDefinition.parse(stored, live))
            state = DomainState(facts.status.state.value)
            domain, _ = Domain.objects.update_or_create(
                uuid=uuid,
                defaults={
                    "host": row, "name": guest.name, "state": state, "state_since": timezone.now(),
                    "persistent": facts.persistent, "vcpus": 1, "memory_kib": 16384, "max_memory_kib": 16384, **columns,
                },
            )  # fmt: skip
            domain.sightings.all().delete()
            domain.sightings.create(host=row, state=state, seen_at=timezone.now())
            record_snapshots(uuid, [one.facts() for one in snapshots(guest)])
            seen.add(uuid)
        return seen

    def domain(self, name: str) -> Domain:
        return Domain.objects.select_related("host__credential").get(name=name)

    def pool(self, host: str, name: str = "default") -> Pool:
        return Pool.objects.select_related("host__credential").get(host=self.rows[host], name=name)

    def volume(self, host: str, name: str) -> Volume:
        return Volume.objects.select_related("pool__host").get(pool=self.pool(host), name=name)

    # Guests and files

    def noise(self, mib: int) -> Path:
        """A qcow2 image full of that much noise, always the same."""
        image = self.store / f"noise-{mib}.qcow2"
        with self._noise:
            if not image.exists():
                raw = self.store / "noise"
                raw.write_bytes(os.urandom(mib * MIB))
                run(["qemu-img", "convert", "-O", "qcow2", raw, image])
                raw.unlink()
        return image

    def images(self, host: str) -> Path:
        return self.hosts[host].root / IMAGES.lstrip("/")

    def put(self, host: str, name: str, mib: int) -> None:
        """A volume full of noise."""
        shutil.copy(self.noise(mib), self.images(host) / name)

    def clear(self, own: str, now: Picture) -> None:
        """Leave nothing on any host of what is called so."""
        for name, states in now.of(own).guests.items():
            for host, state in states.items():
                if state != "shut off":
                    self._quietly(host, "destroy", name)
                for snapshot in now.snapshots.get(f"{name}@{host}", ()):
                    self._quietly(host, "snapshot-delete", name, snapshot, "--metadata")
                self._quietly(host, "undefine", name, "--managed-save")
        for file in now.of(own).files:
            self.path(file).unlink(missing_ok=True)

    def _quietly(self, host: str, *command: str) -> None:
        with suppress(LabError):
            self.hosts[host].virsh(*command)

    def make(self, actor: Actor) -> None:
        """Define it, with its disks, and bring it to its state."""
        host = self.hosts[actor.home]
        for target in actor.targets:
            below = f"{actor.name}-below.qcow2"
            self.put(actor.home, below if actor.layered else actor.file(target), actor.mib)
            if actor.layered:
                options = ["-q", "-f", "qcow2", "-F", "qcow2", "-b", f"{IMAGES}/{below}"]
                host.run(["qemu-img", "create", *options, f"{IMAGES}/{actor.file(target)}"])
        draft = host.directory / f"{actor.name}.xml"
        draft.write_bytes(self._definition(actor))
        host.virsh("define", str(draft))
        draft.unlink()
        if actor.snapshot:
            self._snapshot(actor, **actor.snapshot)
        elif actor.state == "running":
            host.virsh("start", actor.name)

    def _definition(self, actor: Actor) -> bytes:
        lab = self.hosts[actor.home].lab
        root = etree.fromstring(xml.filler(lab, actor.name))
        devices = root.find("devices")
        assert devices is not None
        for target in actor.targets:
            disk = etree.SubElement(devices, "disk", type="file", device="disk")
            etree.SubElement(disk, "driver", name="qemu", type="qcow2")
            etree.SubElement(disk, "source", file=f"{IMAGES}/{actor.file(target)}")
            etree.SubElement(disk, "target", dev=target, bus="virtio")
        return etree.tostring(root)

    def _snapshot(self, actor: Actor, *, internal: bool = False, write_mib: int = 0) -> None:
        """One called NAME-then, taken while it runs or is off; and what it has written since."""
        host, name = self.hosts[actor.home], f"{actor.name}-then"
        if internal:
            host.virsh("start", actor.name)
            host.virsh("snapshot-create-as", actor.name, name)
            return
        overlay = f"{actor.name}-then-vda.qcow2"
        spec = f"vda,snapshot=external,file={IMAGES}/{overlay}"
        host.virsh("snapshot-create-as", actor.name, name, "--disk-only", "--diskspec", spec)
        if write_mib:
            host.run(["qemu-io", "-f", "qcow2", "-c", f"write -q -P 7 0 {write_mib}M", f"{IMAGES}/{overlay}"])
        if actor.state == "running":
            host.virsh("start", actor.name)

    def refresh(self) -> None:
        """Have the pools notice what was put beside them, and taken away."""
        self.everywhere(lambda host: host.virsh("pool-refresh default; pool-refresh shared"))

    def everywhere(self, work: Callable[[QemuHost], object]) -> None:
        with ThreadPoolExecutor(len(self.hosts)) as threads:
            list(threads.map(work, self.hosts.values()))


def at_once(work: Iterable[Callable[[], object]], width: int = 3) -> None:
    """A few at a time, each in a thread; raises the first error."""

    def done(one: Callable[[], object]) -> None:
        try:
            one()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(width) as threads:
        list(threads.map(done, work))


def _host_row(host: QemuHost) -> Host:
    entry: dict[str, Any] = {key: value for key, value in host.entry().items() if key not in ("site", "tags")}
    credential = Credential.objects.create(**entry.pop("credential"))
    networks = [{"name": "default", "active": True}]
    return HostFactory.create(credential=credential, cpu_model="qemu", networks=networks, **entry)


def _look_at_storage(row: Host, connection: HostConnection, shared: Storage) -> None:
    for pool in connection.pools():
        facts = pool.facts()
        known, _ = Pool.objects.update_or_create(
            host=row,
            uuid=UUID(facts.uuid),
            defaults={
                "name": facts.name, "type": facts.type, "state": str(facts.state), "path": facts.target_path,
                "capacity_bytes": facts.capacity_bytes, "available_bytes": facts.available_bytes,
                "storage": shared if facts.name == "shared" else None, "seen_at": timezone.now(),
            },
        )  # fmt: skip
        known.volumes.all().delete()
        for volume in pool.volumes():
            record_volume(known, volume.definition())

"""A guest of the practice fleet to be cloned, and what its hosts have of guests, volumes and chains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone
from lxml import etree

from domains.cloning import services
from domains.cloning.proposal import Wish
from domains.models import Domain
from hosts.connect import connected
from hosts.models import Credential, Host
from storage.inventory import record_volume
from storage.models import Pool, Storage
from tests.factories import DomainFactory, HostFactory
from tests.polling import poll
from vmdash.access.models import User
from vmdash.jobs.models import Job
from vmdash.lab import images
from vmdash.lab.qemu_host import QemuHost
from vmdash.virt.xml.domain import DomainDefinition

STATES = {"running": "running", "paused": "paused", "shut off": "shut_off"}
NAME = "clone-source"
DATA_MIB = 192
IMAGES = "/var/lib/libvirt/images"


@dataclass(frozen=True)
class Belongings:
    """What a host has: guests by name with their state and their disks' files, and the volumes of its pools."""

    guests: dict[str, tuple[str, tuple[str, ...]]]
    volumes: frozenset[str]
    pools: frozenset[str]


def belongings(host: QemuHost) -> Belongings:
    guests = {}
    for name in host.virsh("list", "--all", "--name").split():
        guests[name] = (host.virsh("domstate", name).strip(), tuple(files(host, name)))
    volumes = set()
    pools = host.virsh("pool-list", "--all", "--name").split()
    for pool in pools:
        host.virsh("pool-refresh", pool)
        volumes |= {f"{pool}/{line.split()[0]}" for line in host.virsh("vol-list", pool).splitlines() if line.strip()}
    return Belongings(guests, frozenset(volumes), frozenset(pools))


def files(host: QemuHost, guest: str) -> list[str]:
    """The files of its disks, now and at the next start."""
    return [
        path
        for flag in ([], ["--inactive"])
        for path in values(host.virsh("dumpxml", guest, *flag), "./devices/disk/source/@file")
    ]


def values(xml: str, path: str) -> list[str]:
    """The texts that an XPath finds."""
    found = etree.fromstring(xml).xpath(path)
    assert isinstance(found, list)
    return [str(one) for one in found]


class Fleet:
    """The hosts as rows, and their storage as the survey would write it."""

    def __init__(self, hosts: dict[str, QemuHost], user: User) -> None:
        self.hosts, self.user = hosts, user
        self.rows = {name: _row(host) for name, host in hosts.items()}
        self.survey()

    def survey(self) -> None:
        shared, _ = Storage.objects.get_or_create(name="shared", evidence=Storage.Evidence.MARKER)
        for row in self.rows.values():
            with connected(row) as connection:
                for pool in connection.pools():
                    facts = pool.facts()
                    known, _ = Pool.objects.update_or_create(
                        host=row,
                        uuid=UUID(facts.uuid),
                        defaults={
                            "name": facts.name,
                            "type": facts.type,
                            "state": str(facts.state),
                            "capacity_bytes": facts.capacity_bytes,
                            "available_bytes": facts.available_bytes,
                            "path": facts.target_path,
                            "storage": shared if facts.name == "shared" else None,
                            "seen_at": timezone.now(),
                        },
                    )
                    known.volumes.all().delete()
                    for volume in pool.volumes():
                        record_volume(known, volume.definition())

    def guest(self, host: str, name: str) -> Domain:
        """The row of a guest, as the collector would write it."""
        lab = self.hosts[host]
        xml = lab.virsh("dumpxml", name, "--inactive")
        values = {
            "host": self.rows[host],
            "name": name,
            "state": STATES[lab.virsh("domstate", name).strip()],
            "xml": xml,
            "interfaces": [
                {"mac": one.mac, "kind": one.type, "source": one.source}
                for one in DomainDefinition.parse(xml).interfaces
            ],
        }
        uuid = UUID(lab.virsh("domuuid", name).strip())
        row = Domain.objects.filter(pk=uuid).first()
        if row is None:
            return DomainFactory.create(uuid=uuid, **values)
        Domain.objects.filter(pk=uuid).update(**values)
        row.refresh_from_db()
        return row

    def clone(self, domain: Domain, *names: str, host: str = "", **wish: object) -> Job:
        target = self.rows[host] if host else domain.host
        return services.clone(domain=domain, wish=Wish(names=names, host=target, **wish), user=self.user)  # type: ignore[arg-type]

    def belongings(self) -> dict[str, Belongings]:
        return {name: belongings(host) for name, host in self.hosts.items()}


def _row(host: QemuHost) -> Host:
    entry = dict(host.entry())
    credential = Credential.objects.create(**entry.pop("credential"))  # type: ignore[arg-type]
    fields = {key: entry[key] for key in entry if key not in ("site", "tags")}
    return HostFactory.create(credential=credential, networks=[{"name": "default", "active": True}], **fields)


def ended(job: Job, deadline_s: float = 120) -> Job:
    poll(lambda: Job.objects.filter(pk=job.pk).exclude(finished_at=None).exists(), deadline_s, f"{job.label} to end")
    job.refresh_from_db()
    return job


def make_source(host: QemuHost) -> None:
    """A guest that is off, with a system disk and one full of data, so that copying it takes a moment."""
    pictures = images.prepare(host.lab.cache)
    folder = host.root / IMAGES.lstrip("/")
    host.run(["qemu-img", "convert", "-O", "qcow2", str(pictures.base_disk), f"{IMAGES}/{NAME}.qcow2"])
    with (folder / "noise").open("wb") as noise, open("/dev/urandom", "rb") as random:  # noqa: PTH123
        noise.write(random.read(DATA_MIB << 20))
    host.run(["qemu-img", "convert", "-O", "qcow2", f"{IMAGES}/noise", f"{IMAGES}/{NAME}-data.qcow2"])
    (folder / "noise").unlink()
    root = etree.fromstring(host.virsh("dumpxml", "db1", "--inactive"))
    for tag, text in (("name", NAME), ("uuid", host.lab.uuid(NAME)), ("title", "To be cloned")):
        root.find(tag).text = text  # type: ignore[union-attr]
    devices = root.find("devices")
    assert devices is not None
    for one in devices.findall("disk"):
        devices.remove(one)
    for target, file in (("vda", f"{IMAGES}/{NAME}.qcow2"), ("vdb", f"{IMAGES}/{NAME}-data.qcow2")):
        disk = etree.SubElement(devices, "disk", type="file", device="disk")
        etree.SubElement(disk, "driver", name="qemu", type="qcow2")
        etree.SubElement(disk, "source", file=file)
        etree.SubElement(disk, "target", dev=target, bus="virtio")
    for mac in root.iterfind("./devices/interface/mac"):
        mac.set("address", host.lab.mac(200))
    draft = host.directory / "source.xml"
    draft.write_bytes(etree.tostring(root))
    host.virsh("define", str(draft))
    host.virsh("pool-refresh", "default")


def remove_guests(host: QemuHost, kept: Sequence[str]) -> None:
    """Whatever is not among `kept`, with its disks."""
    for name in set(host.virsh("list", "--all", "--name").split()) - set(kept):
        if host.virsh("domstate", name).strip() != "shut off":
            host.virsh("destroy", name)
        host.virsh("undefine", name, "--nvram")


def remove_volumes(host: QemuHost, kept: frozenset[str]) -> None:
    for one in belongings(host).volumes - kept:
        pool, _, name = one.partition("/")
        host.virsh("vol-delete", name, "--pool", pool)

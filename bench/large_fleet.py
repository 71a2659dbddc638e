"""A large fleet in the database and in the live cache, with figures that move as those of a collector do."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta

import orjson
import redis
from django.utils import timezone

from domains.models import CapacityRecord, Domain, DomainState, GuestUse, Outlook
from hosts.models import Host, Site, Tag
from storage.models import Pool, Storage
from vmdash.live.messages import GuestSample, Tick
from vmdash.live.redis import tick_key

INTERVAL_S = 2
STATES = [(DomainState.RUNNING, "booted")] * 88 + [
    (DomainState.SHUT_OFF, "shutdown"),
    (DomainState.SHUT_OFF, "destroyed"),
    (DomainState.SHUT_OFF, "shutdown"),
    (DomainState.SHUT_OFF, "shutdown"),
    (DomainState.SHUT_OFF, "saved"),
    (DomainState.SHUT_OFF, "shutdown"),
    (DomainState.PAUSED, "user"),
    (DomainState.PAUSED, "io_error"),
    (DomainState.CRASHED, "panicked"),
    (DomainState.IN_SHUTDOWN, "user"),
    (DomainState.PMSUSPENDED, "unknown"),
    (DomainState.RUNNING, "migrated"),
]
KINDS = ("web", "db", "ci", "mail", "erp", "kafka", "redis", "build", "git", "vpn", "desk", "cache")
DISK = """    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none' discard='unmap'/>
      <source file='/var/lib/libvirt/images/{name}-{letter}.qcow2'/>
      <target dev='vd{letter}' bus='virtio'/>
      <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/>
    </disk>
"""
XML = """<domain type='kvm'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='KiB'>{memory_kib}</memory>
  <vcpu placement='static'>{vcpus}</vcpu>
  <os><type arch='x86_64' machine='pc-q35-9.2'>hvm</type><boot dev='hd'/></os>
  <features><acpi/><apic/></features>
  <devices>
{disks}  </devices>
  <!-- {padding} -->
</domain>
"""


def fill(*, hosts: int, guests: int) -> None:
    """Make `hosts` hosts with `guests` guests in all, spread evenly. Rows like those that a collector writes."""
    chance = random.Random(hosts * guests)
    sites = [Site.objects.get_or_create(name=name)[0] for name in ("Zürich", "Lyon", "Lab")]
    tags = [Tag.objects.get_or_create(name=name)[0] for name in ("prod", "test", "web", "db")]
    rows = Host.objects.bulk_create(_host(number, sites, chance) for number in range(hosts))
    Host.objects.update(state_since=timezone.now() - timedelta(days=3))
    found = Domain.objects.bulk_create(
        (_guest(number, rows[number % hosts], chance) for number in range(guests)), batch_size=500
    )
    through = Domain.tags.through
    links = [
        through(domain=guest, tag=tag) for guest in found for tag in chance.sample(tags, chance.choice((0, 1, 1, 2)))
    ]
    through.objects.bulk_create(links, batch_size=2000)
    _storage(rows, chance)
    _weeks(rows, found, chance)


def _storage(hosts: Sequence[Host], chance: random.Random) -> None:
    """Two pools a host: one that it shares with the 19 around it, where the disks are, and one of its own."""
    now = timezone.now()
    shared = [
        Storage.objects.create(name=f"nfs{number}", evidence="source") for number in range((len(hosts) + 19) // 20)
    ]
    pools = []
    for number, host in enumerate(hosts):
        for name, path, storage in (("images", "/images", shared[number // 20]), ("local", "/srv/local", None)):
            size = (200 if storage else 4) * 1024**4
            taken = int(size * chance.uniform(0.3, 0.9))
            pools.append(
                Pool(
                    host=host, uuid=uuid.uuid4(), name=name, type="netfs" if storage else "dir", path=path,
                    state=Pool.State.RUNNING, storage=storage, capacity_bytes=size, allocation_bytes=taken,
                    available_bytes=size - taken, seen_at=now,
                )
            )  # fmt: skip
    Pool.objects.bulk_create(pools, batch_size=500)


def _weeks(hosts: Sequence[Host], guests: Sequence[Domain], chance: random.Random) -> None:
    """What the scheduler has worked out from the history: use of each guest, and forecasts of 13 weeks."""
    now = timezone.now()
    CapacityRecord.objects.create(pk=1, recorded_until=now, worked_out_at=now)
    GuestUse.objects.bulk_create(
        (
            GuestUse(
                domain=guest, made_at=now, hours=chance.randint(100, 336), cpu_mean=0.1 * guest.vcpus,
                cpu_busy=chance.uniform(0.0, 0.95) * guest.vcpus, cpu_peak=chance.uniform(0.1, 1) * guest.vcpus,
                steal_mean=0.01, steal_busy=chance.uniform(0, 0.15), memory_hours=300,
                memory_peak_bytes=int(guest.memory_kib * 1024 * chance.uniform(0.2, 1)), swap_in_bytes_per_s=0.0,
            )
            for guest in guests
        ),
        batch_size=500,
    )  # fmt: skip
    pools = [str(pk) for pk in Pool.objects.values_list("pk", flat=True)]
    days = [((now - timedelta(days=91 - day)).date().isoformat(), 0.4 + day / 400) for day in range(91)]
    scopes = [("fleet", "", len(hosts)), *(("host", str(host.pk), 1) for host in hosts)]
    totals = [
        (scope, key, resource, size * number)
        for scope, key, number in scopes
        for resource, size in (
            ("cpu", 64.0), ("memory", 2.0**39), ("given", 2.0**39), ("storage", 2.0**42), ("guest_cpu", 64.0),
            ("steal", 2.0),
        )
    ]  # fmt: skip
    totals += [("pool", pool, "storage", 2.0**42) for pool in pools]
    Outlook.objects.bulk_create(
        (
            Outlook(
                scope=scope, key=key, resource=resource, made_at=now, hours=336, mean=0.3 * total, busy=0.6 * total,
                days=[[day, share * total] for day, share in days], limit=0.9 * total, total=total,
                horizon=(now + timedelta(days=182)).date(), full_from=now.date() + timedelta(days=100),
                full_at=now.date() + timedelta(days=120),
            )
            for scope, key, resource, total in totals
        ),
        batch_size=200,
    )  # fmt: skip


def _host(number: int, sites: Sequence[Site], chance: random.Random) -> Host:
    return Host(
        name=f"kvm{number + 1}",
        site=sites[min(2, number * 3 // 100 % 3)],
        address=f"192.0.2.{number % 250}",
        state=Host.State.UNREACHABLE if number % 70 == 11 else Host.State.UP,
        state_reason="It does not answer since the last round." if number % 70 == 11 else "",
        last_seen_at=timezone.now() - timedelta(seconds=43 if number % 70 == 11 else 0),
        cpus=64,
        memory_kib=512 * 1024**2,
        hypervisor="QEMU",
        hypervisor_version="9.2.0",
        libvirt_version="11.0.0",
        cells=[
            {
                "id": cell,
                "cpus": list(range(cell * 32, cell * 32 + 32)),
                "memory_kib": 2**28,
                "distances": [10 if other == cell else 21 for other in (0, 1)],
            }
            for cell in (0, 1)
        ],
    )


def _guest(number: int, host: Host, chance: random.Random) -> Domain:
    name = f"{chance.choice(KINDS)}-{number:05}"
    identity = uuid.UUID(int=chance.getrandbits(128), version=4)
    state, reason = chance.choice(STATES)
    vcpus, memory_kib = chance.choice((1, 2, 2, 4, 8)), chance.choice((1, 2, 4, 8, 16)) * 1024**2
    disks = "".join(DISK.format(name=name, letter=letter) for letter in "abc"[: chance.randint(1, 3)])
    return Domain(
        uuid=identity,
        host=host,
        name=name,
        state=state,
        state_reason=reason,
        state_since=timezone.now() - timedelta(minutes=chance.randint(1, 90_000)),
        state_since_known=True,
        vcpus=vcpus,
        max_vcpus=vcpus,
        memory_kib=memory_kib,
        max_memory_kib=memory_kib,
        domain_type="kvm",
        arch="x86_64",
        machine="pc-q35-9.2",
        os_name="Debian GNU/Linux 12 (bookworm)",
        agent=Domain.Agent.CONNECTED,
        addresses=[f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"],
        disks=[
            {"target": "vda", "bus": "virtio", "device": "disk", "source": f"/images/{name}.qcow2", "format": "qcow2"}
        ],
        interfaces=[
            {"mac": f"52:54:00:00:00:{number % 256:02x}", "model": "virtio", "kind": "network", "source": "default"}
        ],
        graphics=[{"kind": "vnc", "listen": "127.0.0.1", "port": 5900, "autoport": True}],
        has_serial=True,
        numa_cells=chance.choice(([], [0], [1], [0, 1])),
        xml=XML.format(
            name=name, uuid=identity, memory_kib=memory_kib, vcpus=vcpus, disks=disks, padding="device " * 400
        ),
    )


def ticks() -> Iterator[Tick]:
    """A tick of each host that answers, with figures as they might be now."""
    running: dict[int, list[tuple[str, int, int]]] = {}
    active = Domain.objects.exclude(state__in=(DomainState.SHUT_OFF, DomainState.CRASHED))
    for pk, host_id, memory, vcpus in active.values_list("pk", "host_id", "memory_kib", "vcpus"):
        running.setdefault(host_id, []).append((str(pk), memory, vcpus))
    for host in Host.objects.filter(state=Host.State.UP):
        now = time.time_ns() // 1_000_000
        there = running.get(host.pk, [])
        guests = {pk: sample(memory, now) for pk, memory, _ in there}
        yield {
            "type": "tick",
            "host": host.pk,
            "at": now,
            "interval_ms": INTERVAL_S * 1000,
            "sample": {
                "cpu": random.triangular(5, 95, 40),
                "steal": random.expovariate(1),
                "mem": int(random.triangular(0.3, 0.95) * host.memory_kib),
                "mem_total": host.memory_kib,
                "running": len(guests),
                "vcpus": sum(vcpus for _, _, vcpus in there),
                "guests": len(guests) + 3,
                "slow_at": now,
            },
            "guests": guests,
            "blames": {},
            "cells": [{"cell": cell, "cpu": 40.0, "mem_free": 2**27, "mem_total": 2**28} for cell in (0, 1)],
            "places": {pk: {str(n): random.randrange(64) for n in range(vcpus)} for pk, _, vcpus in there},
            "looked_at": now,
        }


def sample(memory_kib: int, now: int) -> GuestSample:
    steal = random.choice((0.0, 0.0, 0.2, random.expovariate(0.2)))
    return {
        "cpu": random.triangular(0.5, 95 - min(steal, 60), 20),
        "steal": steal,
        "steal_max": steal * 1.5,
        "mem": int(memory_kib * random.triangular(0.2, 0.95)),
        "rss": memory_kib,
        "rd": random.randrange(10**6),
        "wr": random.randrange(10**6),
        "rx": random.randrange(10**6),
        "tx": random.randrange(10**6),
        "swap": 0,
        "ops": random.uniform(0, 200),
        "lat": random.expovariate(0.5),
        "drop": 0.0,
        "slow_at": now,
    }


def keep_ticking(client: redis.Redis, written: Sequence[Tick]) -> None:
    """Write every tick anew in each interval, evenly spread, with a new time: as collectors do. Never returns."""
    while True:
        for tick in written:
            write(client, tick | {"at": time.time_ns() // 1_000_000})
            time.sleep(INTERVAL_S / len(written))


def write(client: redis.Redis, tick: Tick) -> None:
    client.set(tick_key(tick["host"]), orjson.dumps(tick))

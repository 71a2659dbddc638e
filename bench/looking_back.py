"""A moment of the large fleet that is past: what its guests did before, and what they lost then."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
from django.conf import settings

from domains.models import ACTIVE_STATES, Domain, GuestEvent
from hosts.models import Host, HostEvent

CHANGES = 20
"""Of each guest."""
MINUTES_S = 180
_BATCH = 50_000
_TAKES_TEXT = "/api/v1/import/prometheus"


def fill(at_s: int) -> None:
    """Events of all hosts and guests before the moment and after it, and the counters of the last minutes before it."""
    chance = random.Random(7)
    moment = datetime.fromtimestamp(at_s, UTC)
    begin = moment - timedelta(days=9)
    HostEvent.objects.bulk_create([HostEvent(host=host, at=begin, state="up") for host in Host.objects.only("pk")])
    guests = list(Domain.objects.select_related("host").only("name", "state", "vcpus", "host__name"))
    GuestEvent.objects.bulk_create(
        (event for guest in guests for event in _events(guest, begin, chance)), batch_size=_BATCH // 10
    )
    _send(line for guest in guests if guest.state in ACTIVE_STATES for line in _lost(guest, at_s, chance))
    _send(_busy(at_s, chance))


def _events(guest: Domain, begin: datetime, chance: random.Random) -> Iterator[GuestEvent]:
    """Until now, half a day apart; at the moment most are as they are now."""
    for number in range(CHANGES):
        kind = GuestEvent.Kind.STATE if number else GuestEvent.Kind.SEEN
        at = begin + timedelta(hours=12 * number, seconds=chance.uniform(0, 7200))
        state = guest.state if number > CHANGES - 8 else chance.choice(("running", "shut_off"))
        yield GuestEvent(uuid=guest.pk, name=guest.name, at=at, kind=kind, host_name=guest.host.name, state=state)


def _lost(guest: Domain, at_s: int, chance: random.Random) -> Iterator[str]:
    only = f'host="{guest.host.name}",domain="{guest.name}",uuid="{guest.pk}"'
    for vcpu in range(guest.vcpus):
        share = chance.expovariate(30)
        for at in range(at_s - MINUTES_S, at_s + 1, 10):
            lost = share * (at - at_s + MINUTES_S)
            yield f'libvirt_domain_vcpu_delay_seconds_total{{{only},vcpu="{vcpu}"}} {lost:.4f} {at * 1000}'


def _busy(at_s: int, chance: random.Random) -> Iterator[str]:
    for host in Host.objects.only("name"):
        share = chance.random()
        for at in range(at_s - MINUTES_S, at_s + 1, 10):
            passed, only = at - at_s + MINUTES_S, f'host="{host.name}"'
            yield f"libvirt_up{{{only}}} 1 {at * 1000}"
            yield f"vmdash_host_vcpus{{{only}}} 100 {at * 1000}"
            yield f"vmdash_host_steal_seconds_total{{{only}}} {passed * share:.4f} {at * 1000}"
            yield f"vmdash_host_vcpu_seconds_total{{{only}}} {passed * 100} {at * 1000}"
            for mode, part in (("user", share), ("idle", 1 - share)):
                cpu = f'libvirt_node_cpu_seconds_total{{{only},mode="{mode}"}}'
                yield f"{cpu} {passed * part:.4f} {at * 1000}"


def _send(lines: Iterator[str]) -> None:
    with httpx.Client(base_url=settings.TSDB_URL, timeout=60) as store:
        batch: list[str] = []
        for line in lines:
            batch.append(line)
            if len(batch) == _BATCH:
                store.post(_TAKES_TEXT, content="\n".join((*batch, ""))).raise_for_status()
                batch = []
        store.post(_TAKES_TEXT, content="\n".join((*batch, ""))).raise_for_status()
        store.get("/internal/force_flush")

"""Figures in the live cache, as a collector would have written them."""

from __future__ import annotations

import time
from collections.abc import Mapping

from domains.models import Domain
from hosts.models import Host
from vmdash.live.messages import Blame, CellSample, GuestSample, HostSample, Tick
from vmdash.live.publish import encode
from vmdash.live.redis import client, tick_key

INTERVAL_MS = 20_000
"""Long, so that a slow test machine does not make figures old."""
OLD_S = 300


def guest_sample(*, cpu: float | None = 20.0, steal: float | None = 0.0, mem: int | None = 1024) -> GuestSample:
    return {
        "cpu": cpu,
        "steal": steal,
        "steal_max": steal,
        "mem": mem,
        "rss": 2048,
        "rd": 10,
        "wr": 20,
        "rx": 30,
        "tx": 40,
        "swap": 0,
        "ops": 1.0,
        "lat": 1.0,
        "drop": 0.0,
        "slow_at": None,
    }


def host_sample(
    *, cpu: float | None = 40.0, steal: float | None = 0.0, running: int = 1, vcpus: int | None = None
) -> HostSample:
    return {
        "cpu": cpu,
        "steal": steal,
        "mem": 4 * 1024**2,
        "mem_total": 16 * 1024**2,
        "running": running,
        "vcpus": running if vcpus is None else vcpus,
        "guests": running,
        "slow_at": None,
    }


def write_tick(
    host: Host,
    guests: Mapping[Domain, GuestSample] | None = None,
    *,
    sample: HostSample | None = None,
    age_s: float = 0,
    interval_ms: int = INTERVAL_MS,
    blames: Mapping[Domain, Blame] | None = None,
    places: Mapping[Domain, Mapping[int, int]] | None = None,
    cells: list[CellSample] | None = None,
    looked_age_s: float | None = None,
) -> Tick:
    """A round over `host` that ended `age_s` ago, with these guests running."""
    figures = {str(guest.pk): one for guest, one in (guests or {}).items()}
    tick: Tick = {
        "type": "tick",
        "host": host.pk,
        "at": int((time.time() - age_s) * 1000),
        "interval_ms": interval_ms,
        "sample": sample or host_sample(running=len(figures)),
        "guests": figures,
        "blames": {str(guest.pk): one for guest, one in (blames or {}).items()},
        "cells": cells or [],
        "places": {
            str(guest.pk): {str(number): cpu for number, cpu in one.items()} for guest, one in (places or {}).items()
        },
        "looked_at": None if looked_age_s is None else int((time.time() - looked_age_s) * 1000),
    }
    client().set(tick_key(host.pk), encode(tick))
    return tick

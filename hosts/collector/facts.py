"""The machine, its networks and its storage pools, as columns of `Host`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from operator import itemgetter
from typing import Any
from uuid import UUID

from vmdash.virt.connection import HostConnection
from vmdash.virt.errors import CallError
from vmdash.virt.network import NetworkFacts
from vmdash.virt.node import NodeFacts
from vmdash.virt.pool import PoolFacts

Columns = dict[str, Any]


def read_host(connection: HostConnection, *, node: bool) -> Iterator[Columns]:
    """In steps of a few calls: the machine (`node`; it hardly changes while its daemon runs), how it merges memory, its
    networks.

    `collect` puts the pieces together. Raises VirtError. A network that vanishes meanwhile is left out. Pools are not
    asked for here: one that hangs keeps whoever asks waiting (see `hosts.collector.survey`).
    """
    if node:
        yield _node(connection.node.facts())
    yield {"ksm": _ksm(connection)}
    for network in connection.networks():
        with suppress(CallError):
            yield {"networks": [_network(network.facts())]}


def collect(pieces: Iterable[Columns]) -> Columns:
    """Columns of `Host` from what `read_host` gave."""
    columns: Columns = {"networks": []}
    for piece in pieces:
        columns["networks"] += piece.get("networks", [])
        columns |= {name: value for name, value in piece.items() if name != "networks"}
    columns["networks"].sort(key=itemgetter("name"))
    return columns


def pool_columns(pools: Iterable[PoolFacts]) -> Columns:
    """What the host's page shows of its pools."""
    return {"pools": sorted((_pool(facts) for facts in pools), key=itemgetter("name"))}


def _node(facts: NodeFacts) -> Columns:
    return {
        "hostname": facts.hostname,
        "host_uuid": _uuid(facts.uuid),
        "hypervisor": facts.hypervisor,
        "hypervisor_version": facts.hypervisor_version,
        "libvirt_version": facts.libvirt_version,
        "hardware_virtualization": facts.hardware_virtualization,
        "arch": facts.arch,
        "cpu_model": facts.cpu_model,
        "cpus": facts.cpus,
        "sockets": facts.sockets,
        "cores": facts.cores,
        "threads": facts.threads,
        "cpu_mhz": facts.mhz,
        "memory_kib": facts.memory_kib,
        "security_model": facts.security_model,
        "cells": [
            {
                "id": cell.number,
                "cpus": list(cell.cpus),
                "memory_kib": cell.memory_kib,
                "distances": [distance for _, distance in cell.distances],
            }
            for cell in facts.cells
        ],
    }


def _ksm(connection: HostConnection) -> Columns | None:
    """None where the host tells nothing of it."""
    try:
        found = connection.node.ksm()
    except CallError:
        return None
    return asdict(found) if found else None


def _pool(facts: PoolFacts) -> Columns:
    return {
        "name": facts.name,
        "uuid": facts.uuid,
        "type": facts.type,
        "state": str(facts.state),
        "autostart": facts.autostart,
        "capacity_bytes": facts.capacity_bytes,
        "allocation_bytes": facts.allocation_bytes,
        "available_bytes": facts.available_bytes,
    }


def _network(facts: NetworkFacts) -> Columns:
    return {
        "name": facts.name,
        "uuid": facts.uuid,
        "active": facts.active,
        "autostart": facts.autostart,
        "bridge": facts.bridge,
        "forward": facts.forward_mode,
    }


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None

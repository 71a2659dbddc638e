"""What libvirt says of a guest, as columns of `Domain`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hosts.collector.inventory import SeenAgent, SeenDefinition
from vmdash.virt import cpuset
from vmdash.virt.agent import GuestUser
from vmdash.virt.guest import GuestFacts
from vmdash.virt.xml.domain import Disk, DomainDefinition, Graphics, Interface

Columns = dict[str, Any]


def facts_columns(facts: GuestFacts) -> Columns:
    return {
        "name": facts.name,
        "persistent": facts.persistent,
        "autostart": facts.autostart,
        "has_managed_save": facts.has_managed_save,
        "vcpus": facts.vcpus,
        "memory_kib": facts.memory_kib,
        "max_memory_kib": facts.max_memory_kib,
    }


def definition_columns(seen: SeenDefinition) -> Columns:
    """Ports, devices on the host and labels as of now, the rest as stored."""
    live = seen.live
    return {
        "title": seen.title,
        "description": seen.description,
        "max_vcpus": live.max_vcpus,
        "domain_type": live.type,
        "arch": live.arch,
        "machine": live.machine,
        "disks": [_disk(disk) for disk in live.disks],
        "interfaces": [_interface(interface) for interface in live.interfaces],
        "graphics": [_graphics(graphics) for graphics in live.graphics],
        "has_serial": any(console.kind in ("serial", "console") for console in live.consoles),
        "numa_cells": _numa_cells(live),
        "vcpu_pins": _pins(live),
        "security_label": next((label.label for label in live.security_labels if label.label), ""),
        "xml": seen.xml,
    }


def agent_columns(seen: SeenAgent) -> Columns:
    columns: Columns = {"agent": str(seen.state), "logged_in": _users(seen.users)}
    if seen.addresses is not None:
        columns["addresses"] = list(seen.addresses)
    if seen.os_name is not None:
        columns["os_name"] = seen.os_name
    return columns


def _users(users: Sequence[GuestUser] | None) -> list[Columns] | None:
    if users is None:
        return None
    return [{"name": user.name, "since": user.since.isoformat() if user.since else None} for user in users]


def _disk(disk: Disk) -> Columns:
    return {
        "target": disk.target,
        "bus": disk.bus,
        "device": disk.device,
        "source": disk.source,
        "format": disk.format,
        "readonly": disk.readonly,
        "backing": [image.source for image in disk.backing],
        "limits": dict(disk.limits),
        "limit_group": disk.limit_group,
    }


def _interface(interface: Interface) -> Columns:
    return {
        "mac": interface.mac,
        "model": interface.model,
        "kind": interface.type,
        "source": interface.source,
        "target": interface.target,
    }


def _graphics(graphics: Graphics) -> Columns:
    return {
        "kind": graphics.type,
        "listen": graphics.listen,
        "port": graphics.port,
        "autoport": graphics.autoport,
    }


def _numa_cells(definition: DomainDefinition) -> list[int]:
    """The cells of its memory policy."""
    return cpuset.parse(definition.numatune.nodeset) if definition.numatune else []


def _pins(definition: DomainDefinition) -> dict[str, list[int]]:
    """CPUs by vCPU, for those that are pinned."""
    return {str(number): cpuset.parse(cpus) for number, cpus in definition.vcpu_pins}

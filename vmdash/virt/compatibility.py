"""Whether a host can run a guest that comes from another one: CPU, machine type, network devices."""

from __future__ import annotations

from enum import StrEnum

import libvirt
from lxml import etree

from vmdash.virt import xml
from vmdash.virt.connection import HostConnection
from vmdash.virt.errors import CallError, HostError
from vmdash.virt.translation import supported, translate
from vmdash.virt.xml.domain import DomainDefinition


class CpuMatch(StrEnum):
    COMPATIBLE = "compatible"
    INCOMPATIBLE = "incompatible"
    HOST = "host"
    """The guest is given the host's own CPU: libvirt compares nothing."""


def compare_cpu(target: HostConnection, definition: str) -> CpuMatch:
    """Whether the host's hypervisor can give the guest the CPU that it has (``virConnectCompareHypervisorCPU``).

    ``definition`` as of now, migratable: there a running guest's CPU is spelt out. Raises CallUnsupported.
    """
    root = xml.parse(definition)
    cpu = root.find("./cpu")
    if cpu is None:
        return CpuMatch.COMPATIBLE
    if cpu.get("mode") in ("host-passthrough", "maximum"):
        return CpuMatch.HOST
    if cpu.find("./model") is None:
        return CpuMatch.COMPATIBLE
    kind = root.find("./os/type")
    with translate("compare the CPU", target.name):
        result = target.raw.compareHypervisorCPU(
            None,
            kind.get("arch") if kind is not None else None,
            kind.get("machine") if kind is not None else None,
            root.get("type"),
            etree.tostring(cpu, encoding="unicode"),
            0,
        )
    return CpuMatch.INCOMPATIBLE if result == libvirt.VIR_CPU_COMPARE_INCOMPATIBLE else CpuMatch.COMPATIBLE


def has_machine(target: HostConnection, definition: DomainDefinition) -> bool:
    """Whether the host offers the machine type with this hypervisor (``virConnectGetDomainCapabilities``)."""
    try:
        with translate("read what the host offers", target.name):
            target.raw.getDomainCapabilities(
                None, definition.arch or None, definition.machine or None, definition.type or None, 0
            )
    except HostError:
        raise
    except CallError:
        return False
    return True


def interface_names(target: HostConnection) -> set[str]:
    """Network devices of the host, bridges included; none where it does not tell."""
    with translate("list the network devices", target.name):
        found: list[libvirt.virNodeDevice] = supported(
            lambda: target.raw.listAllDevices(libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_NET), []
        )
        names = (xml.parse(device.XMLDesc()).findtext("./capability/interface", "") for device in found)
        return {name for name in names if name}

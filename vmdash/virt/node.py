"""The machine a libvirt daemon runs on: facts, NUMA cells, CPU and memory use."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import libvirt
from lxml import etree

from vmdash.virt import xml
from vmdash.virt.machine_counters import MachineCounters
from vmdash.virt.translation import supported, translate


@dataclass(frozen=True, slots=True)
class NumaCell:
    """``distances`` are (cell, distance), 10 for itself; empty where the host does not tell."""

    number: int
    cpus: tuple[int, ...]
    memory_kib: int
    distances: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """``cpus`` counts threads. Versions such as "9.0.0", empty where the driver does not tell.

    ``hardware_virtualization``: whether guests of type kvm can be had (for xen: hvm). ``iommu`` is None when not told.
    """

    hostname: str
    uuid: str
    hypervisor: str
    hypervisor_version: str
    libvirt_version: str
    arch: str
    cpu_model: str
    cpu_vendor: str
    cpus: int
    sockets: int
    cores: int
    threads: int
    mhz: int
    memory_kib: int
    cells: tuple[NumaCell, ...]
    security_model: str
    hardware_virtualization: bool
    iommu: bool | None


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Counters in ns since the host booted. ``number`` is a CPU or a cell; -1 for the whole host."""

    number: int
    user_ns: int
    system_ns: int
    idle_ns: int
    iowait_ns: int

    @property
    def busy_ns(self) -> int:
        return self.user_ns + self.system_ns


@dataclass(frozen=True, slots=True)
class NodeCpuStats:
    """``cpus`` and ``cells`` are empty unless asked for per CPU."""

    total: CpuTimes
    cpus: tuple[CpuTimes, ...] = ()
    cells: tuple[CpuTimes, ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """In KiB. ``number`` is a cell; -1 for the whole host. Linux tells buffers and cache for the whole host only."""

    number: int
    total_kib: int
    free_kib: int
    buffers_kib: int | None
    cached_kib: int | None


@dataclass(frozen=True, slots=True)
class NodeMemoryStats:
    total: MemoryUse
    cells: tuple[MemoryUse, ...]


@dataclass(frozen=True, slots=True)
class Ksm:
    """Kernel same-page merging. Source: Documentation/admin-guide/mm/ksm.rst; libvirt leaves out whether it is on.

    ``shared`` pages are kept once, ``sharing`` more would be there without it. ``page_kib`` is None where not told.
    """

    pages_to_scan: int
    sleep_ms: int
    shared: int
    sharing: int
    unshared: int
    full_scans: int
    merge_across_nodes: bool | None
    page_kib: int | None


class Node:
    """The machine behind a connection. Every method blocks and raises VirtError."""

    def __init__(self, raw: libvirt.virConnect, host: str) -> None:
        self.raw = raw
        self.host = host
        self._cells: tuple[NumaCell, ...] | None = None
        self._page_kib: int | None = None
        self._counters = MachineCounters(raw)

    def facts(self) -> NodeFacts:
        """Half a dozen calls; hardly anything in it changes while the daemon runs."""
        with translate("read the facts of the host", self.host):
            model, memory_mib, cpus, mhz, _nodes, sockets, cores, threads = self.raw.getInfo()
            capabilities = xml.parse(self.raw.getCapabilities())
            hypervisor = str(self.raw.getType())
            cells = self._cells = _cells(capabilities)
            self._page_kib = _page_kib(capabilities)
            iommu = capabilities.find("./host/iommu")
            return NodeFacts(
                hostname=str(self.raw.getHostname()),
                uuid=capabilities.findtext("./host/uuid", "").lower(),
                hypervisor=hypervisor,
                hypervisor_version=_version(supported(self.raw.getVersion, 0)),
                libvirt_version=_version(supported(self.raw.getLibVersion, 0)),
                arch=capabilities.findtext("./host/cpu/arch") or model,
                cpu_model=capabilities.findtext("./host/cpu/model", ""),
                cpu_vendor=capabilities.findtext("./host/cpu/vendor", ""),
                cpus=cpus,
                sockets=sockets,
                cores=cores,
                threads=threads,
                mhz=mhz,
                memory_kib=memory_mib * 1024,
                cells=cells,
                security_model=_security_model(capabilities),
                hardware_virtualization=_has_hardware_virtualization(capabilities, hypervisor),
                iommu=None if iommu is None else iommu.get("support") == "yes",
            )

    def capabilities_xml(self) -> str:
        with translate("read the capabilities of the host", self.host):
            return str(self.raw.getCapabilities())

    def cpu_stats(self, *, per_cpu: bool = False) -> NodeCpuStats:
        """CPU time spent. ``per_cpu`` costs one call a CPU, and gives the cells too. Raises CallUnsupported."""
        with translate("read the CPU use of the host", self.host):
            total = self._cpu_times(libvirt.VIR_NODE_CPU_STATS_ALL_CPUS, -1)
            if not per_cpu:
                return NodeCpuStats(total)
            _, online, _ = self.raw.getCPUMap()
            cpus = tuple(self._cpu_times(number, number) for number, is_on in enumerate(online) if is_on)
            cells = self._known_cells()
        by_number = {times.number: times for times in cpus}
        return NodeCpuStats(
            total,
            cpus,
            tuple(_sum(cell.number, [by_number[cpu] for cpu in cell.cpus if cpu in by_number]) for cell in cells),
        )

    def times_of(self, cpus: Collection[int]) -> dict[int, CpuTimes]:
        """CPU time spent by these CPUs, one call each. Raises CallUnsupported."""
        with translate("read the CPU use of the host", self.host):
            return {number: self._cpu_times(number, number) for number in cpus}

    def memory_use(self) -> MemoryUse:
        """Memory of the host as a whole. Raises CallUnsupported."""
        with translate("read the memory use of the host", self.host):
            return self._memory_use(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS, -1)

    def memory_stats(self) -> NodeMemoryStats:
        """Memory of the host and of each cell, one call each. Raises CallUnsupported."""
        with translate("read the memory use of the host", self.host):
            return NodeMemoryStats(
                self._memory_use(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS, -1),
                tuple(self._memory_use(cell.number, cell.number) for cell in self._known_cells()),
            )

    def ksm(self) -> Ksm | None:
        """How memory is merged; None where the kernel or the driver has no such thing. The size of a page is known
        after ``facts()``.
        """
        with translate("read how memory is merged", self.host):
            told: dict[str, int] = supported(self.raw.getMemoryParameters, {})
        if _SCAN not in told:
            return None
        across = told.get("shm_merge_across_nodes")
        return Ksm(
            pages_to_scan=told[_SCAN],
            sleep_ms=told.get(_SLEEP, 0),
            shared=told.get("shm_pages_shared", 0),
            sharing=told.get("shm_pages_sharing", 0),
            unshared=told.get("shm_pages_unshared", 0),
            full_scans=told.get("shm_full_scans", 0),
            merge_across_nodes=None if across is None else bool(across),
            page_kib=self._page_kib,
        )

    def set_ksm(self, *, pages_to_scan: int, sleep_ms: int) -> None:
        """How many pages are looked at before each pause, and how long that is. Raises CallUnsupported."""
        with translate("change how memory is merged", self.host):
            self.raw.setMemoryParameters({_SCAN: pages_to_scan, _SLEEP: sleep_ms})

    def free_memory_kib(self) -> int:
        with translate("read the free memory of the host", self.host):
            return int(self.raw.getFreeMemory()) // 1024

    def cells(self) -> tuple[NumaCell, ...]:
        """Read once a connection: cells do not change while the daemon runs."""
        with translate("read the capabilities of the host", self.host):
            return self._known_cells()

    def _known_cells(self) -> tuple[NumaCell, ...]:
        if self._cells is None:
            self._cells = _cells(xml.parse(self.raw.getCapabilities()))
        return self._cells

    def _cpu_times(self, cpu: int, number: int) -> CpuTimes:
        told = self._counters.cpu(cpu)
        return CpuTimes(number, told.get("user", 0), told.get("kernel", 0), told.get("idle", 0), told.get("iowait", 0))

    def _memory_use(self, cell: int, number: int) -> MemoryUse:
        told = self._counters.memory(cell)
        return MemoryUse(number, told.get("total", 0), told.get("free", 0), told.get("buffers"), told.get("cached"))


_SCAN, _SLEEP = "shm_pages_to_scan", "shm_sleep_millisecs"


def _page_kib(capabilities: etree._Element) -> int | None:
    """The smallest size of a page."""
    found = [pages.get("size") for pages in capabilities.iterfind("./host/cpu/pages[@unit='KiB']")]
    return min((size for text in found if (size := xml.integer(text))), default=None)


def _cells(capabilities: etree._Element) -> tuple[NumaCell, ...]:
    return tuple(
        NumaCell(
            number=xml.integer(cell.get("id")) or 0,
            cpus=tuple(int(cpu.get("id", "0")) for cpu in cell.iterfind("./cpus/cpu")),
            memory_kib=(xml.size_bytes(cell.find("./memory")) or 0) // 1024,
            distances=tuple(
                (int(sibling.get("id", "0")), int(sibling.get("value", "0")))
                for sibling in cell.iterfind("./distances/sibling")
            ),
        )
        for cell in capabilities.iterfind("./host/topology/cells/cell")
    )


def _sum(number: int, parts: list[CpuTimes]) -> CpuTimes:
    return CpuTimes(
        number,
        sum(part.user_ns for part in parts),
        sum(part.system_ns for part in parts),
        sum(part.idle_ns for part in parts),
        sum(part.iowait_ns for part in parts),
    )


def _version(number: Any) -> str:
    """libvirt's versions are 1,000,000 × major + 1,000 × minor + release."""
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}" if number else ""


def _security_model(capabilities: etree._Element) -> str:
    models = (model.text or "" for model in capabilities.iterfind("./host/secmodel/model"))
    return ", ".join(model for model in models if model and model != "none")


def _has_hardware_virtualization(capabilities: etree._Element, hypervisor: str) -> bool:
    if hypervisor.lower() == "xen":
        return any(kind.text == "hvm" for kind in capabilities.iterfind("./guest/os_type"))
    return capabilities.find("./guest/arch/domain[@type='kvm']") is not None

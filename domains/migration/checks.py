"""What decides whether a guest can move to a host, as a list of lines: passed, warned or failed, with the remedy.

Everything is asked of the hosts themselves, or tried; what cannot be known before is said to be so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domains.migration.lines import Level, Line, failed, passed, warned
from domains.migration.plan import DiskPlan, How, plan_disks
from domains.migration.prediction import prediction
from domains.models import Domain, Migration
from hosts.connect import migration_uri
from hosts.models import Host
from vmdash import formats
from vmdash.virt.errors import CallError, CallUnsupported, GuestNotFound, HostError, TargetUnreachable, VirtError

if TYPE_CHECKING:
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.guest import Guest
    from vmdash.virt.xml.domain import DomainDefinition

SPARE_MEMORY = 0.05
"""Of a host's memory: less than this left over is worth a warning."""


@dataclass(frozen=True, slots=True)
class Question:
    """One guest, one target, with connections to both hosts. `dirty_bytes_per_s` is None when it was not measured."""

    domain: Domain
    source_host: Host
    target_host: Host
    source: HostConnection
    target: HostConnection
    guest: Guest
    definition: DomainDefinition
    active: bool
    dirty_bytes_per_s: int | None
    bandwidth_mib_s: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    lines: list[Line]
    disks: list[DiskPlan]

    @property
    def verdict(self) -> Level:
        levels = {line.level for line in self.lines}
        return next(level for level in (Level.FAILED, Level.WARNED, Level.PASSED) if level in levels or not levels)

    def stored(self) -> dict[str, object]:
        return {
            "verdict": str(self.verdict),
            "lines": [line.stored() for line in self.lines],
            "disks": [disk.stored() for disk in self.disks],
        }


def check(question: Question, *, tag: str) -> Answer:
    """All lines, in the order in which they are shown. Raises HostError when one of the hosts stops answering."""
    try:
        disks = plan_disks(question.source, question.target, question.guest, tag=tag)
        storage = list(_storage(question, disks))
    except HostError:
        raise
    except CallError as error:
        disks, storage = [], [failed("Storage", error.message, error.hint)]
    lines = [line for look in _CHECKS for line in _safely(look, question)]
    return Answer([*lines, *storage, *_safely(prediction_line, question)], disks)


def _safely(look: Callable[[Question], Iterator[Line]], question: Question) -> Iterator[Line]:
    """A question that the host cannot answer is a warning, not the end of all of them."""
    try:
        yield from look(question)
    except HostError:
        raise
    except CallUnsupported as error:
        yield warned(_SUBJECTS.get(look, "Check"), f"{error.message}", "It will show when the guest moves.")
    except VirtError as error:
        yield warned(_SUBJECTS.get(look, "Check"), error.message, error.hint)


def _trust(question: Question) -> Iterator[Line]:
    """Tried: the source's daemon opens the target's."""
    from vmdash.virt import migration

    uri = migration_uri(question.target_host)
    try:
        migration.try_target(question.guest, uri)
    except TargetUnreachable as error:
        said = error.detail.split(" (code ")[0]
        yield failed("Host to host", f"{question.source.name} cannot open {uri}: {said}.", error.hint)
    else:
        yield passed("Host to host", f"{question.source.name} opens {uri}.")


def _is_elsewhere(question: Question) -> Iterator[Line]:
    """Its name and UUID over there."""
    target = question.target
    try:
        other = target.guest(str(question.domain.pk))
    except GuestNotFound:
        other = None
    if other is not None and other.is_active():
        yield failed("Name", f"It runs on {target.name} too.", "Force it off on one of the hosts at once.")
        return
    try:
        named = target.guest_named(question.definition.name)
    except GuestNotFound:
        named = None
    if named is not None and named.uuid != str(question.domain.pk):
        yield failed("Name", f"{target.name} has another guest of this name.", "Rename one of the two.")
    elif other is not None:
        yield warned("Name", f"{target.name} has a definition of it already.", "It will be replaced.")
    else:
        yield passed("Name", f"{target.name} has no guest of this name.")


def _versions(question: Question) -> Iterator[Line]:
    here, there = question.source.node.facts(), question.target.node.facts()
    if here.uuid and here.uuid == there.uuid:
        yield failed("Versions", "Both are one and the same machine.", "Give them different host UUIDs.")
        return
    if here.arch != there.arch:
        yield failed("Versions", f"{question.target.name} is {there.arch}, the guest needs {here.arch}.")
    older = [
        f"{name} {theirs} instead of {ours}"
        for name, ours, theirs in (
            ("libvirt", here.libvirt_version, there.libvirt_version),
            (here.hypervisor, here.hypervisor_version, there.hypervisor_version),
        )
        if _number(theirs) < _number(ours)
    ]
    if older:
        yield warned(
            "Versions", f"{question.target.name} is older: {', '.join(older)}.", "Update it first if it fails."
        )
    else:
        yield passed("Versions", f"libvirt {there.libvirt_version}, {there.hypervisor} {there.hypervisor_version}.")


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _cpu(question: Question) -> Iterator[Line]:
    """Compared by the target's hypervisor itself."""
    from vmdash.virt.compatibility import CpuMatch, compare_cpu

    match = compare_cpu(
        question.target, question.guest.xml(migratable=True) if question.active else question.domain.xml
    )
    remedy = "Give the guest a CPU model that both hosts have."
    if match is CpuMatch.INCOMPATIBLE:
        yield failed("CPU", f"{question.target.name} lacks features of the guest's CPU.", remedy)
    elif match is CpuMatch.HOST:
        mine, its = question.source_host.cpu_model, question.target_host.cpu_model
        if mine == its:
            yield warned("CPU", "The guest sees the host's own CPU; both are of the same model.", remedy)
        else:
            yield failed("CPU", f"The guest sees the host's own CPU ({mine}), and the target has {its}.", remedy)
    else:
        yield passed("CPU", f"{question.target.name} has all that the guest's CPU needs.")


def _machine(question: Question) -> Iterator[Line]:
    from vmdash.virt.compatibility import has_machine

    machine = question.definition.machine
    if has_machine(question.target, question.definition):
        yield passed("Machine type", f"{question.target.name} offers {machine or 'it'} for {question.definition.type}.")
    else:
        yield failed(
            "Machine type",
            f"{question.target.name} does not offer {machine} for {question.definition.type}.",
            "Update QEMU there, or change the machine type while the guest is off.",
        )


def _memory(question: Question) -> Iterator[Line]:
    if not question.active:
        return
    use = question.target.node.memory_stats().total
    free = use.free_kib + (use.buffers_kib or 0) + (use.cached_kib or 0)
    need = question.definition.max_memory_kib
    words = f"{formats.kib(need)} of {formats.kib(free)} that are free on {question.target.name}."
    if need > free:
        yield failed("Memory", f"It needs {words}", "Move or stop another guest there first.")
    elif free - need < SPARE_MEMORY * use.total_kib:
        yield warned("Memory", f"It takes {words}", "Little is left after that.")
    else:
        yield passed("Memory", f"It takes {words}")


def _storage(question: Question, disks: list[DiskPlan]) -> Iterator[Line]:
    if not disks:
        yield passed("Storage", "It has no disks.")
    wanted: dict[str, int] = {}
    for disk in disks:
        subject = f"Disk {disk.target}"
        match disk.how:
            case How.EMPTY:
                yield passed(subject, "Its drive is empty.")
            case How.SHARED:
                yield passed(subject, f"Not copied: {disk.why}.")
            case How.STUCK:
                yield failed(subject, f"{disk.obstacle[:1].upper()}{disk.obstacle[1:]}.", disk.remedy)
            case How.COPIED:
                wanted[disk.pool] = wanted.get(disk.pool, 0) + disk.allocation_bytes
                yield _room(question, subject, disk, wanted[disk.pool])


def _room(question: Question, subject: str, disk: DiskPlan, wanted: int) -> Line:
    where = f"pool {disk.pool} of {question.target.name}"
    size, free = formats.size(disk.allocation_bytes), formats.size(disk.free_bytes)
    words = f"{size} are copied into {where}, which has {free} free."
    if wanted > disk.free_bytes:
        return failed(subject, words, f"Free some space in {where}.")
    if disk.capacity_bytes > disk.free_bytes:
        return warned(subject, words, f"Full, it would take {formats.size(disk.capacity_bytes)}.")
    return passed(subject, words)


def _networks(question: Question) -> Iterator[Line]:
    from vmdash.virt.compatibility import interface_names

    networks = {network.name: network for network in question.target.networks()}
    devices: set[str] | None = None
    for interface in question.definition.interfaces:
        subject, name = f"Network {interface.source or interface.type}", interface.source
        if interface.type == "network":
            network = networks.get(name)
            if network is None:
                yield failed(subject, f"{question.target.name} has no network {name}.", "Define and start it there.")
            elif not network.facts().active:
                yield failed(subject, f"{question.target.name} has it, but it is not started.", "Start it there.")
            else:
                yield passed(subject, f"It is active on {question.target.name}.")
        elif interface.type in ("bridge", "direct"):
            devices = interface_names(question.target) if devices is None else devices
            if name in devices:
                yield passed(subject, f"{question.target.name} has it.")
            elif devices:
                yield failed(subject, f"{question.target.name} has no {name}.", "Make one of the same name there.")
            else:
                yield warned(subject, f"{question.target.name} does not tell whether it has {name}.", "Look there.")


def _devices(question: Question) -> Iterator[Line]:
    held = [f"{device.type} {device.source}" for device in question.definition.host_devices]
    held += [f"network card {card.mac}" for card in question.definition.interfaces if card.type == "hostdev"]
    if held and question.active:
        yield failed("Host devices", f"It holds {', '.join(held)} of its host.", "Detach them, then move it.")
    elif held:
        yield warned("Host devices", f"It expects {', '.join(held)}.", "The same must be at the same place over there.")
    else:
        yield passed("Host devices", "It holds none.")


def _leftovers(question: Question) -> Iterator[Line]:
    """What libvirt keeps beside a guest, and does not take along."""
    from vmdash.virt import migration

    if count := migration.snapshot_count(question.guest):
        many = "a snapshot" if count == 1 else f"{count} snapshots"
        yield failed("Snapshots", f"It has {many}, which cannot move along.", "Delete them first.")
    if not question.active and question.guest.has_managed_save():
        yield failed("Saved state", "Its saved memory would stay behind.", "Start it and move it while it runs.")


def _way(question: Question) -> Iterator[Line]:
    """The port for the memory is chosen by the target when it begins, so only the past can tell."""
    if not question.active:
        return
    last = Migration.objects.filter(
        source_name=question.source_host.name,
        target_name=question.target_host.name,
        outcome=Migration.Outcome.MOVED,
        transferred_bytes__gt=0,
    ).first()
    if last:
        yield passed("Ports", f"A guest came this way before, in {formats.brief(last.duration_ms)}.")
    else:
        yield warned(
            "Ports",
            f"No guest has come from {question.source_host.name} to {question.target_host.name} yet.",
            "The firewall between them must let 49152 to 49215 through, unless qemu.conf there names other ports.",
        )


def prediction_line(question: Question) -> Iterator[Line]:
    if question.active:
        yield prediction(
            question.source_host.name,
            question.target_host.name,
            dirty_bytes_per_s=question.dirty_bytes_per_s,
            bandwidth_mib_s=question.bandwidth_mib_s,
        )


_CHECKS: tuple[Callable[[Question], Iterator[Line]], ...] = (
    *(_is_elsewhere, _trust, _way, _versions, _cpu, _machine, _memory, _networks, _devices, _leftovers),
)
_SUBJECTS: dict[Callable[[Question], Iterator[Line]], str] = {
    _trust: "Host to host",
    _versions: "Versions",
    _cpu: "CPU",
    _machine: "Machine type",
    _memory: "Memory",
    _networks: "Networks",
    _leftovers: "Snapshots",
    prediction_line: "Will it end",
}

"""``Guest``: a thin typed handle around virDomain.

Method names are libvirt's verbs; keyword booleans become flags here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import libvirt
from lxml import etree

from vmdash.virt import agent, vcpu_places, xml
from vmdash.virt.agent import AgentInfo, GuestInterface
from vmdash.virt.errors import (
    CallUnsupported,
    GuestAlreadyRunning,
    GuestNotRunning,
    HypervisorError,
    InvalidState,
    ResourceBusy,
)
from vmdash.virt.jobinfo import JobInfo
from vmdash.virt.states import GuestStatus
from vmdash.virt.translation import supported, translate
from vmdash.virt.xml.domain import DomainDefinition, Graphics

T = TypeVar("T")

_SHUTDOWN_FLAGS = {
    "": libvirt.VIR_DOMAIN_SHUTDOWN_DEFAULT,
    "agent": libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT,
    "acpi": libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN,
}
_REBOOT_FLAGS = {
    "": libvirt.VIR_DOMAIN_REBOOT_DEFAULT,
    "agent": libvirt.VIR_DOMAIN_REBOOT_GUEST_AGENT,
    "acpi": libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN,
}
# What drivers report for a call that the guest's state forbids: qemu says "invalid state", test only "internal error".
_STATE_ERRORS = (InvalidState, HypervisorError)
_SAVE_FLAGS = {None: 0, True: libvirt.VIR_DOMAIN_SAVE_PAUSED, False: libvirt.VIR_DOMAIN_SAVE_RUNNING}


@dataclass(frozen=True, slots=True)
class GuestFacts:
    """What the inventory keeps of a guest.

    ``libvirt_id`` is None while it is off; ``memory_kib`` is the balloon's target.
    """

    uuid: str
    name: str
    status: GuestStatus
    libvirt_id: int | None
    persistent: bool
    autostart: bool
    has_managed_save: bool
    vcpus: int
    memory_kib: int
    max_memory_kib: int
    cpu_time_ns: int


@dataclass(frozen=True, slots=True)
class VcpuPlacement:
    """Where a vCPU runs: ``cpu`` is the host's CPU it was last on, None when the driver does not tell."""

    number: int
    running: bool
    cpu_time_ns: int
    cpu: int | None


@dataclass(frozen=True, slots=True)
class Screenshot:
    """``mime`` is the hypervisor's choice: QEMU gives image/x-portable-pixmap or image/png."""

    mime: str
    data: bytes


class Guest:
    """One guest on one host. Every method blocks and raises VirtError."""

    __slots__ = ("host", "name", "raw", "uuid")

    def __init__(self, raw: libvirt.virDomain, host: str) -> None:
        self.raw = raw
        self.host = host
        self.uuid: str = raw.UUIDString()
        self.name: str = raw.name()

    def __repr__(self) -> str:
        return f"<Guest {self.name} ({self.uuid}) on {self.host}>"

    def _translate(self, verb: str) -> translate:
        return translate(f"{verb} {self.name}", self.host)

    def release(self) -> None:
        """Let go of libvirt's object; the guest is of no use after that.

        Each of them keeps its connection open, and the last one takes leave of the daemon, which may block: whoever
        keeps handles releases them in the thread that closes the connection.
        """
        del self.raw

    # Reading

    def status(self) -> GuestStatus:
        with self._translate("read the state of"):
            return GuestStatus.from_libvirt(*self.raw.state())

    def is_active(self) -> bool:
        with self._translate("read the state of"):
            return bool(self.raw.isActive())

    def facts(self) -> GuestFacts:
        """Five calls; for all guests of a host ``HostConnection.inventory()`` is cheaper."""
        with self._translate("read"):
            _, max_memory_kib, memory_kib, vcpus, cpu_time_ns = self.raw.info()
            libvirt_id = self.raw.ID()
            return GuestFacts(
                uuid=self.uuid,
                name=self.name,
                status=GuestStatus.from_libvirt(*self.raw.state()),
                libvirt_id=None if libvirt_id < 0 else libvirt_id,
                persistent=bool(self.raw.isPersistent()),
                autostart=bool(supported(self.raw.autostart, 0)),
                has_managed_save=bool(supported(self.raw.hasManagedSaveImage, 0)),
                vcpus=vcpus,
                memory_kib=memory_kib,
                max_memory_kib=max_memory_kib,
                cpu_time_ns=cpu_time_ns,
            )

    def xml(self, *, secure: bool = False, inactive: bool = False, migratable: bool = False) -> str:
        """The definition.

        ``secure`` includes passwords and needs a read-write connection; ``inactive``: as of the next start.
        """
        flags = (
            (libvirt.VIR_DOMAIN_XML_SECURE if secure else 0)
            | (libvirt.VIR_DOMAIN_XML_INACTIVE if inactive else 0)
            | (libvirt.VIR_DOMAIN_XML_MIGRATABLE if migratable else 0)
        )
        with self._translate("read the definition of"):
            return str(self.raw.XMLDesc(flags))

    def definition(self, *, inactive: bool = False) -> DomainDefinition:
        """The same, parsed."""
        return DomainDefinition.parse(self.xml(inactive=inactive))

    def graphics(self) -> tuple[Graphics, ...]:
        """Where its graphical consoles listen now."""
        return self.definition().graphics

    def vcpus(self) -> list[VcpuPlacement]:
        """Which host CPU each vCPU is on (``virDomainGetVcpus``). Empty while it is off."""
        try:
            with self._translate("read the vCPUs of"):
                placed = vcpu_places.of(self.raw)
        except _STATE_ERRORS:
            if not self.is_active():
                return []
            raise
        return [VcpuPlacement(n, state == 1, ns, None if cpu < 0 else cpu) for n, state, ns, cpu in placed]

    def job(self) -> JobInfo | None:
        """The hypervisor's long job on it (migration, save, dump), if there is one."""
        with self._translate("read the job of"):
            return JobInfo.from_libvirt(self.raw.jobStats())

    def abort_job(self) -> None:
        """Have the hypervisor give up its long job on it. Raises InvalidState when there is none."""
        with self._translate("cancel the job of"):
            self.raw.abortJob()

    # Life cycle

    def start(self, *, paused: bool = False, force_boot: bool = False, autodestroy: bool = False) -> None:
        """Start it, or restore its saved state; ``force_boot`` throws that away. Raises GuestAlreadyRunning."""
        flags = (
            (libvirt.VIR_DOMAIN_START_PAUSED if paused else 0)
            | (libvirt.VIR_DOMAIN_START_FORCE_BOOT if force_boot else 0)
            | (libvirt.VIR_DOMAIN_START_AUTODESTROY if autodestroy else 0)
        )
        try:
            with self._translate("start"):
                self.raw.createWithFlags(flags)
        except _STATE_ERRORS as error:
            if self.is_active():
                raise GuestAlreadyRunning.because(f"start {self.name}", self.host, detail=error.detail) from error
            raise

    def shutdown(self, *, mode: str = "") -> None:
        """Ask the guest to shut down by "agent", "acpi", or what the hypervisor prefers; returns before it has."""
        self._set_agent_timeout_for(mode)
        self._on_running("shut down", lambda: self.raw.shutdownFlags(_SHUTDOWN_FLAGS[mode]))

    def reboot(self, *, mode: str = "") -> None:
        """Ask the guest to reboot; see ``shutdown``."""
        self._set_agent_timeout_for(mode)
        self._on_running("reboot", lambda: self.raw.reboot(_REBOOT_FLAGS[mode]))

    def reset(self) -> None:
        """As the reset button does: memory is lost."""
        self._on_running("reset", self.raw.reset)

    def destroy(self, *, graceful: bool = False) -> None:
        """Force off. ``graceful`` gives up rather than kill a hypervisor process that does not go by itself."""
        flags = libvirt.VIR_DOMAIN_DESTROY_GRACEFUL if graceful else 0
        self._on_running("force off", lambda: self.raw.destroyFlags(flags))

    def suspend(self) -> None:
        """Pause it; its memory stays."""
        self._on_running("pause", self.raw.suspend)

    def resume(self) -> None:
        """Let a paused guest run on."""
        self._on_running("resume", self.raw.resume)

    def wake_up(self) -> None:
        """Wake a guest that suspended itself."""
        self._on_running("wake up", self.raw.pMWakeup)

    def managed_save(self, *, paused: bool | None = None) -> None:
        """Save its memory to disk and stop it; the next start goes on there, ``paused`` or not (None: as it is now)."""
        self._on_running("save", lambda: self.raw.managedSave(_SAVE_FLAGS[paused]))

    def has_managed_save(self) -> bool:
        with self._translate("read the saved state of"):
            return bool(self.raw.hasManagedSaveImage())

    def managed_save_remove(self) -> None:
        """Throw its saved memory away."""
        with self._translate("remove the saved state of"):
            self.raw.managedSaveRemove()

    def autostart(self) -> bool:
        with self._translate("read the autostart of"):
            return bool(self.raw.autostart())

    def set_autostart(self, on: bool) -> None:
        """Whether the host starts it when the host itself starts."""
        with self._translate("change the autostart of"):
            self.raw.setAutostart(int(on))

    def undefine(self, *, managed_save: bool = False, snapshots: bool = False, nvram: bool = False) -> None:
        """Remove its definition; its disks stay. Refused by libvirt while it has any of what is not named here."""
        flags = (
            (libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE if managed_save else 0)
            | (libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA if snapshots else 0)
            | (libvirt.VIR_DOMAIN_UNDEFINE_NVRAM if nvram else 0)
        )
        with self._translate("undefine"):
            self.raw.undefineFlags(flags)

    def rename(self, name: str) -> None:
        """Only while it is off."""
        with self._translate("rename"):
            self.raw.rename(name)
        self.name = name

    # The guest agent

    def agent_info(self, *, timeout_s: int = 3) -> AgentInfo:
        """What the guest agent tells.

        Raises AgentUnresponsive, GuestNotRunning, CallUnsupported (it has no agent channel).
        """
        self._set_agent_timeout(timeout_s)
        return agent.parse_info(self._on_running("ask the guest agent of", self.raw.guestInfo))

    def interface_addresses(self, *, source: str = "agent") -> tuple[GuestInterface, ...]:
        """Its addresses as told by its "agent", by the host's DHCP "lease"s, or by the host's "arp" table."""
        if source == "agent":
            self._set_agent_timeout()
        number = agent.ADDRESS_SOURCES[source]
        return agent.parse_interfaces(
            self._on_running("read the addresses of", lambda: self.raw.interfaceAddresses(number))
        )

    def _set_agent_timeout_for(self, mode: str) -> None:
        if mode == "agent":
            self._set_agent_timeout()

    def _set_agent_timeout(self, timeout_s: int = 5) -> None:
        """Always first: without it, libvirt waits for the agent for ever."""
        self._on_running("ask the guest agent of", lambda: self.raw.agentSetResponseTimeout(timeout_s))

    # Consoles

    def screenshot(self, *, screen: int = 0) -> Screenshot:
        """What its screen shows."""
        chunks: list[bytes] = []

        def keep(_stream: libvirt.virStream, data: bytes, _opaque: object) -> int:
            chunks.append(data)
            return len(data)

        with self._translate("take a screenshot of"):
            stream = self.raw.connect().newStream()
            mime = self.raw.screenshot(stream, screen)
            stream.recvAll(keep, None)
            stream.finish()
        return Screenshot(str(mime), b"".join(chunks))

    def set_vnc_password(self, password: str, valid_until: datetime | None) -> None:
        """Set the password of its VNC console, for new connections, until then (None: for ever). It must be running.

        VNC uses the first eight characters only. Raises CallUnsupported when it has no VNC console.
        """
        document = xml.parse(self.xml(secure=True))
        graphics = document.find("./devices/graphics[@type='vnc']")
        if graphics is None:
            raise CallUnsupported.because(
                f"set the console password of {self.name}", self.host, reason="the guest has no VNC console"
            )
        graphics.set("passwd", password)
        graphics.attrib.pop("passwdValidTo", "")
        if valid_until is not None:
            graphics.set("passwdValidTo", valid_until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"))
        device = etree.tostring(graphics, encoding="unicode")
        self._on_running(
            "set the console password of",
            lambda: self.raw.updateDeviceFlags(device, libvirt.VIR_DOMAIN_AFFECT_LIVE),
        )

    def send_key(self, codes: Sequence[int], *, hold_ms: int = 50) -> None:
        """Press these keys together. ``codes`` are Linux's (linux/input-event-codes.h)."""
        self._on_running(
            "send keys to",
            lambda: self.raw.sendKey(libvirt.VIR_KEYCODE_SET_LINUX, hold_ms, list(codes), len(codes)),
        )

    def open_console(self, stream: libvirt.virStream, *, device: str = "", force: bool = False) -> None:
        """Connect ``stream`` to its first serial console, or to ``device`` (an alias such as serial0); see ``console``.

        One client can have it open. Raises ResourceBusy when another has; ``force`` ends that one's session instead.
        """
        flags = libvirt.VIR_DOMAIN_CONSOLE_FORCE if force else 0
        doing = "open the serial console of"

        def open_it() -> None:
            try:
                self.raw.openConsole(device or None, stream, flags)
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_OPERATION_FAILED:  # it has this one meaning here
                    raise
                raise ResourceBusy.because(
                    f"{doing} {self.name}", self.host, reason="another client has it open", detail=str(error)
                ) from error

        self._on_running(doing, open_it)

    def _on_running(self, verb: str, call: Callable[[], T]) -> T:
        """Do what needs a running guest. Raises GuestNotRunning when that was the reason it failed."""
        try:
            with self._translate(verb):
                return call()
        except _STATE_ERRORS as error:
            if not self.is_active():
                raise GuestNotRunning.because(f"{verb} {self.name}", self.host, detail=error.detail) from error
            raise

"""A practice host for those who are not root: a libvirtd of one's own that offers libvirt's test driver.

Its guests have states that can be changed, and nothing runs in them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vmdash.lab import xml
from vmdash.lab.catalogue import LabHost, Power, guests_of
from vmdash.lab.commands import run
from vmdash.lab.credentials import TCP_PORT
from vmdash.lab.host import HostEntry
from vmdash.lab.host_files import configuration
from vmdash.lab.layout import Lab
from vmdash.lab.processes import living, spawn, wait_until


@dataclass(frozen=True, slots=True)
class UnprivilegedHost:
    """A host of `lab`, the second kind of `PracticeHost`. Reached over TCP without a password, on loopback."""

    lab: Lab
    spec: LabHost

    @property
    def address(self) -> str:
        return self.lab.address(self.spec.number)

    @property
    def directory(self) -> Path:
        return self.lab.host_directory(self.spec.name)

    @property
    def uri(self) -> str:
        return f"test+tcp://{self.address}:{TCP_PORT}/default"

    def start(self) -> None:
        if living(self._libvirtd_record) is None:
            self.stop()  # a keeper without its libvirtd keeps nothing
            self._start_libvirtd()
        if living(self._keeper_record) is None:
            self._start_keeper()
            self._make_guests()

    def stop(self) -> None:
        for file in (self._keeper_record, self._libvirtd_record):
            if record := living(file):
                record.kill()
            file.unlink(missing_ok=True)

    def virsh(self, *arguments: str, timeout_s: float = 60) -> str:
        return run(["virsh", "-q", "-c", self.uri, *arguments], timeout_s=timeout_s)

    def entry(self) -> HostEntry:
        return HostEntry(
            name=self.spec.name,
            site=self.spec.site,
            description="Without root: libvirt's test driver",
            tags=["test-driver"],
            driver="test",
            transport="tcp",
            address=self.address,
            port=TCP_PORT,
            path="/default",
        )

    @property
    def _libvirtd_record(self) -> Path:
        return self.directory / "libvirtd.pid"

    @property
    def _keeper_record(self) -> Path:
        return self.directory / "keeper.pid"

    def _start_libvirtd(self) -> None:
        (self.directory / "run").mkdir(parents=True, exist_ok=True, mode=0o700)
        settings = self.directory / "libvirtd.conf"
        settings.write_text(
            configuration(
                {
                    "host_uuid": self.lab.uuid(self.spec.name),
                    "listen_addr": self.address,
                    "listen_tls": 0,
                    "listen_tcp": 1,
                    "tcp_port": str(TCP_PORT),
                    "auth_tcp": "none",
                }
            )
        )
        spawn(
            ["/usr/sbin/libvirtd", "--listen", "--config", settings],
            record=self._libvirtd_record,
            log=self.directory / "libvirtd.log",
            environment=self._environment(),
        )
        wait_until(self._accepts, f"the libvirtd of {self.spec.name} to listen on {self.address}", deadline_s=20)

    def _environment(self) -> Mapping[str, str]:
        """Keeps this libvirtd's files apart from those of the user's own."""
        folders = {f"XDG_{kind}_HOME": str(self.directory / kind.lower()) for kind in ("CONFIG", "CACHE", "DATA")}
        return {
            **folders,
            "XDG_RUNTIME_DIR": str(self.directory / "run"),
            "HOME": str(self.directory),
            "PATH": f"{os.defpath}:/usr/sbin:/sbin",
        }

    def _accepts(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex((self.address, TCP_PORT)) == 0

    def _start_keeper(self) -> None:
        """The test driver forgets everything when its last client leaves, so one client stays."""
        log = self.directory / "keeper.log"
        spawn(["virsh", "-c", self.uri, "hostname; event --all --loop"], record=self._keeper_record, log=log)
        wait_until(lambda: log.stat().st_size > 0, f"virsh to connect to {self.uri}", deadline_s=20)

    def _make_guests(self) -> None:
        """Replace the test driver's own guest, which is the same on every host, by those of the fleet."""
        self.virsh("destroy", "test")
        self.virsh("undefine", "test")
        for guest in guests_of(self.spec.name):
            draft = self.directory / "definition.xml"
            draft.write_text(xml.stateful_guest(self.lab, guest))
            self.virsh("define", str(draft))
            if guest.power is not Power.OFF:
                self.virsh("start", guest.name)
            if guest.power is Power.PAUSED:
                self.virsh("suspend", guest.name)

"""A practice host with real guests: a libvirtd in mount, UTS and PID namespaces of its own. Needs root."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from vmdash.lab import guests, host_files, networks
from vmdash.lab.catalogue import LabHost, Transport
from vmdash.lab.commands import LabError, run
from vmdash.lab.credentials import SASL_USER, SSH_PORT, TCP_PORT, TLS_PORT, Credentials
from vmdash.lab.host import CredentialEntry, HostEntry
from vmdash.lab.layout import Lab
from vmdash.lab.processes import living, spawn, wait_until

_INIT = Path(__file__).parent / "host-init"
_BUSYBOX = "/bin/busybox"
_PORTS = {Transport.TCP: TCP_PORT, Transport.TLS: TLS_PORT, Transport.SSH: SSH_PORT}


@dataclass(frozen=True, slots=True)
class QemuHost:
    """A host of `lab`, the first kind of `PracticeHost`.

    Its private files are below `root`, at the paths under which its own processes see them.
    """

    lab: Lab
    spec: LabHost
    credentials: Credentials

    @property
    def address(self) -> str:
        return self.lab.address(self.spec.number)

    @property
    def directory(self) -> Path:
        return self.lab.host_directory(self.spec.name)

    @property
    def root(self) -> Path:
        return self.directory / "root"

    @property
    def uri(self) -> str:
        keys = self.credentials
        match self.spec.transport:
            case Transport.TCP:
                scheme, options = "qemu+tcp://", {"authfile": keys.auth_file}
            case Transport.TLS:
                scheme, options = "qemu+tls://", {"pkipath": keys.pki}
            case Transport.SSH:
                # libssh takes known hosts from the URI; the ssh program would want them in the home directory.
                scheme = "qemu+libssh://root@"
                options = {"keyfile": keys.ssh_key, "known_hosts": keys.known_hosts}
        return f"{scheme}{self.address}:{_PORTS[self.spec.transport]}/system?{urlencode(options, safe='/')}"

    @property
    def migration_uri(self) -> str:
        """Where the libvirtds of the other hosts reach this one: all have its password in their `auth.conf`."""
        return f"qemu+tcp://{self.address}:{TCP_PORT}/system"

    def start(self) -> None:
        if living(self._init_record) is None:
            self._make_namespaces()
        if self.daemon_pid("libvirtd") is None:
            self.start_libvirtd()
        else:
            self.signal_libvirtd("CONT")
        if self.spec.transport is Transport.SSH and self.daemon_pid("sshd") is None:
            self.run(["/usr/sbin/sshd", "-f", "/etc/ssh/sshd_config"])
        guests.ensure(self)

    def stop(self) -> None:
        if record := living(self._init_record):
            # The kernel ends every process of its namespaces with it, and the mounts go with the last one.
            record.kill()
        self._init_record.unlink(missing_ok=True)
        networks.remove_bridges_of_networks(self.root / "run/libvirt/network")

    def start_libvirtd(self) -> None:
        """Start libvirtd and return when it answers. Guests that ran before are found again."""
        try:
            self.run(["/usr/sbin/libvirtd", "--listen", "--daemon", "--pid-file", "/run/libvirtd.pid"])
        except LabError as error:
            log = (self.root / "var/log/libvirt/libvirtd.log").read_text().splitlines()
            hint = f"Its addresses may be taken: set VMDASH_LAB_NET to another number than {self.lab.net}."
            message = f"The libvirtd of practice host {self.spec.name} did not start."
            raise LabError(message, hint=hint, detail="\n".join(log[-3:])) from error

    def signal_libvirtd(self, signal: str) -> None:
        """Send `signal` ("STOP", "CONT", "KILL", …) to this host's libvirtd. Returns when a killed one is gone."""
        pid = self.daemon_pid("libvirtd")
        if pid is None:
            raise LabError(f"The libvirtd of {self.spec.name} is not running.", hint="Run: manage.py lab up")
        self.run([_BUSYBOX, "kill", f"-{signal}", str(pid)])
        if signal == "KILL":
            name = f"libvirtd of {self.spec.name}"
            wait_until(lambda: self.daemon_pid("libvirtd") is None, f"{name} to end", deadline_s=30)

    def daemon_pid(self, name: str) -> int | None:
        """The number of process `name` inside the host, or None when it does not run."""
        try:
            pid = int((self.root / f"run/{name}.pid").read_text())
            # A killed one keeps its name, and its sockets, until all of it has ended and was collected.
            running = Path(f"/proc/{self._init_pid()}/root/proc/{pid}/comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        return pid if running == name else None

    def run(self, command: list[str], *, timeout_s: float = 60) -> str:
        """Run `command` as a process of this host, and return its output."""
        enter = ["nsenter", "--target", str(self._init_pid()), "--mount", "--uts", "--pid"]
        environment = ["env", "-i", f"PATH={os.defpath}:/usr/sbin:/sbin", "LC_ALL=C.UTF-8"]
        return run([*enter, *environment, *command], timeout_s=timeout_s)

    def virsh(self, *arguments: str, timeout_s: float = 60) -> str:
        return self.run(["virsh", "-q", "-c", "qemu:///system", *arguments], timeout_s=timeout_s)

    def entry(self) -> HostEntry:
        spec, keys = self.spec, self.credentials
        entry = HostEntry(
            name=spec.name,
            site=spec.site,
            description=spec.description,
            tags=list(spec.tags),
            driver="qemu",
            transport=spec.transport.value,
            address=self.address,
            port=_PORTS[spec.transport],
            path="/system",
            migration_uri=self.migration_uri,
        )
        match spec.transport:
            case Transport.TCP:
                entry["credential"] = CredentialEntry(
                    name="practice-sasl", kind="sasl", username=SASL_USER, password=keys.sasl_password
                )
            case Transport.TLS:
                entry["credential"] = CredentialEntry(
                    name="practice-tls",
                    kind="tls",
                    private_key=keys.client_key.read_text(),
                    certificate=keys.client_certificate.read_text(),
                    ca_certificate=keys.ca_certificate.read_text(),
                )
            case Transport.SSH:
                entry["username"] = "root"
                entry["known_host_key"] = " ".join(keys.ssh_host_public_key.read_text().split()[:2])
                entry["credential"] = CredentialEntry(
                    name="practice-ssh", kind="ssh_key", private_key=keys.ssh_key.read_text()
                )
        return entry

    @property
    def _init_record(self) -> Path:
        return self.directory / "init.pid"

    def _init_pid(self) -> int:
        record = living(self._init_record)
        if record is None:
            raise LabError(f"Practice host {self.spec.name} is not up.", hint="Run: manage.py lab up")
        return record.pid

    def _make_namespaces(self) -> None:
        shutil.rmtree(self.root / "run", ignore_errors=True)
        ready = self.directory / "ready"
        ready.unlink(missing_ok=True)
        binds = host_files.write(self.lab, self.spec, self.credentials, self.root)
        spawn(
            [_INIT, self.directory, self.spec.name, *binds],
            record=self._init_record,
            log=self.directory / "init.log",
            namespaces=["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child"],
        )
        try:
            wait_until(ready.exists, f"{self.spec.name} to have its mounts", deadline_s=10)
        except LabError as error:
            raise LabError(error.message, detail=(self.directory / "init.log").read_text()) from error

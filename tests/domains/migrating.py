"""Guests of the practice fleet that are moved in tests, and brought home afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.utils import timezone

from domains.migration import services
from domains.models import Domain
from hosts.models import Credential, Host
from tests.factories import DomainFactory, HostFactory
from tests.polling import poll
from vmdash.access.models import User
from vmdash.jobs.models import Job
from vmdash.lab.commands import LabError
from vmdash.lab.qemu_host import QemuHost
from vmdash.virt.migration_types import MigrationOptions

STATES = {"running": "running", "paused": "paused", "shut off": "shut_off"}


class Fleet:
    """The practice hosts with their rows, as the collector would keep them."""

    def __init__(self, hosts: dict[str, QemuHost], user: User) -> None:
        self.hosts = hosts
        self.user = user
        self.rows = {name: self._row(host) for name, host in hosts.items()}

    def _row(self, host: QemuHost) -> Host:
        entry: dict[str, Any] = {key: value for key, value in host.entry().items() if key not in ("site", "tags")}
        credential = Credential.objects.create(**entry.pop("credential"))
        return HostFactory.create(credential=credential, cpu_model="qemu", **entry)

    def guest(self, name: str, on: str) -> Domain:
        uuid = UUID(self.hosts[on].virsh("domuuid", name).strip())
        state = STATES[self.hosts[on].virsh("domstate", name).strip()]
        row: Domain = DomainFactory.create(
            uuid=uuid, host=self.rows[on], name=name, state=state, state_since=timezone.now()
        )
        row.sightings.create(host=self.rows[on], state=state, seen_at=timezone.now())
        return row

    def move(self, guest: Domain, to: str, **options: Any) -> Job:
        """Ask for it. The row is first brought to where the guest is."""
        remove_copied = options.pop("remove_copied", True)
        guest.host = self.rows[self.where(guest.name)]
        guest.save()
        return services.request_migration(
            domain=guest,
            target=self.rows[to],
            user=self.user,
            options=MigrationOptions(**options),
            remove_copied=remove_copied,
        )

    def states(self, name: str) -> dict[str, str]:
        """Its state on each host that has it."""
        found = {}
        for host, live in self.hosts.items():
            try:
                found[host] = live.virsh("domstate", name).strip()
            except LabError:
                continue
        return found

    def where(self, name: str) -> str:
        """The one host that has it; where it runs counts first. Fails when it runs twice."""
        states = self.states(name)
        running = [host for host, state in states.items() if state != "shut off"]
        assert len(running) <= 1, states
        return (running or list(states))[0]

    def volumes(self, host: str, pool: str = "default") -> set[str]:
        self.hosts[host].virsh("pool-refresh", pool)
        return {line.split()[0] for line in self.hosts[host].virsh("vol-list", pool).splitlines() if line.strip()}

    @contextmanager
    def at_home(self, name: str, home: str) -> Iterator[Domain]:
        """The guest; afterwards it is where it was, however the test ended."""
        try:
            yield self.guest(name, home)
        finally:
            self.bring_home(name, home)

    def bring_home(self, name: str, home: str) -> None:
        poll(lambda: self._is_still(name), 60, f"{name} to stand still")
        away = self.where(name)
        if away == home:
            return
        host, target = self.hosts[away], self.hosts[home]
        options = ["--p2p", "--persistent", "--undefinesource"]
        if self.states(name)[away] == "shut off":
            host.virsh("migrate", "--offline", *options, name, target.migration_uri)
            return
        disks = host.virsh("domblklist", name)
        if "/var/lib/libvirt/images" in disks:
            options += ["--copy-storage-all"]
        host.virsh("migrate", "--live", "--unsafe", *options, name, target.migration_uri, timeout_s=180)
        for line in disks.splitlines():
            path = line.split()[-1]
            if path.startswith("/var/lib/libvirt/images"):
                host.run(["rm", "-f", path])

    def _is_still(self, name: str) -> bool:
        for host in self.hosts.values():
            try:
                if "None" not in host.virsh("domjobinfo", name):
                    host.virsh("domjobabort", name)
                    return False
            except LabError:
                continue
        return True


def ended(job: Job, *, within_s: float = 120) -> Job:
    poll(lambda: Job.objects.filter(pk=job.pk).exclude(finished_at=None).exists(), within_s, f"{job.label} to end")
    job.refresh_from_db()
    return job


def begun(job: Job, condition: Callable[[Job], bool] = lambda job: bool(job.done_bytes), within_s: float = 30) -> Job:
    """Waits until the move is on its way."""

    def is_so() -> bool:
        job.refresh_from_db()
        assert job.state in ("queued", "running", "lost"), (job.state, job.error)
        return condition(job)

    poll(is_so, within_s, f"{job.label} to be on its way")
    return job

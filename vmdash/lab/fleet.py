"""The whole practice fleet: up, down, and what it says about itself."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from vmdash.lab import credentials, images, networks, packages
from vmdash.lab.catalogue import HOSTS, Transport, guests_of
from vmdash.lab.commands import LabError, run
from vmdash.lab.host import PracticeHost
from vmdash.lab.layout import Lab
from vmdash.lab.qemu_host import QemuHost
from vmdash.lab.unprivileged_host import UnprivilegedHost

_ANSWER_WITHIN_S = 10


@dataclass(frozen=True, slots=True)
class HostStatus:
    """What one host looks like from outside. `problems` are sentences; none means all is there."""

    name: str
    uri: str
    answers: bool
    running: int
    defined: int
    problems: tuple[str, ...]


def has_real_guests() -> bool:
    """Whether this process may run real guests. Without root the hosts have libvirt's test driver instead."""
    return os.geteuid() == 0


def hosts(lab: Lab) -> tuple[PracticeHost, ...]:
    """The fleet's hosts of the kind that this process may run, up or not."""
    return qemu_hosts(lab) if has_real_guests() else tuple(UnprivilegedHost(lab, spec) for spec in HOSTS)


def qemu_hosts(lab: Lab) -> tuple[QemuHost, ...]:
    """The fleet's hosts with real guests, up or not. Makes the fleet's credentials if there are none yet."""
    by_transport = {spec.transport: spec for spec in HOSTS}
    tls = by_transport[Transport.TLS]
    keys = credentials.prepare(
        lab.secrets,
        sasl_address=lab.address(by_transport[Transport.TCP].number),
        tls_host=tls.name,
        tls_address=lab.address(tls.number),
        ssh_address=lab.address(by_transport[Transport.SSH].number),
    )
    return tuple(QemuHost(lab, spec, keys) for spec in HOSTS)


def up(lab: Lab, say: Callable[[str], None]) -> None:
    """Bring up whatever of the fleet is not up. Guests may still be booting afterwards.

    `say` is told in a sentence what takes long or is missing. Raises LabError.
    """
    _check_owner(lab)
    for folder in (lab.directory, lab.shared_images):
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(lab):
        if has_real_guests():
            _check_packages(packages.for_real_guests())
            _prepare_machine(lab, say)
        else:
            _check_packages(packages.FOR_TEST_DRIVER)
            say(
                "Without root the practice hosts use libvirt's test driver: guests have states, but no consoles, "
                "no statistics and no migration. Run this as root for real guests."
            )
        with ThreadPoolExecutor() as threads:
            # All are tried before the first error is raised.
            for result in [threads.submit(host.start) for host in hosts(lab)]:
                result.result()


def down(lab: Lab, *, delete: bool = False) -> None:
    """End every process of the fleet and remove its mounts, namespaces and bridges; with `delete` its files too."""
    if not lab.directory.exists():
        return
    _check_owner(lab)
    with _alone(lab):
        for host in hosts(lab):
            host.stop()
        if has_real_guests():
            networks.remove_bridge(lab.bridge)
        if delete:
            shutil.rmtree(lab.directory)


def status(lab: Lab) -> tuple[HostStatus, ...]:
    """Ask every host from outside, as a dashboard would; takes at most about ten seconds."""
    _check_owner(lab)
    with ThreadPoolExecutor() as threads:
        return tuple(threads.map(_status, hosts(lab)))


def _status(host: PracticeHost) -> HostStatus:
    name = host.spec.name
    try:
        defined, running = _guest_names(host, "--all"), _guest_names(host, "--state-running")
    except LabError as error:
        problem = f"{name} does not answer. {error.detail or error.message}"
        return HostStatus(name, host.uri, answers=False, running=0, defined=0, problems=(problem,))
    missing = sorted({guest.name for guest in guests_of(name)} - defined)
    problems = tuple(f"Guest {guest} of {name} is not defined." for guest in missing)
    return HostStatus(name, host.uri, answers=True, running=len(running), defined=len(defined), problems=problems)


def _guest_names(host: PracticeHost, which: str) -> set[str]:
    listing = run(["virsh", "-q", "-c", host.uri, "list", "--name", which], stdin="", timeout_s=_ANSWER_WITHIN_S)
    return set(listing.split())


def _prepare_machine(lab: Lab, say: Callable[[str], None]) -> None:
    if not images.are_ready(lab.cache):
        say("Building the guests' images. This is done once.")
        images.prepare(lab.cache)
    if not networks.ensure_bridge(lab.bridge):
        say("This machine has no network bridges: guests get QEMU's user-mode network, without traffic counters.")


@contextmanager
def _alone(lab: Lab) -> Iterator[None]:
    """One at a time brings a fleet up or down; the next one waits."""
    with (lab.directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_packages(needed: tuple[str, ...]) -> None:
    if missing := packages.missing(needed):
        raise LabError(
            f"The practice fleet needs Debian packages that are not installed: {', '.join(missing)}.",
            hint=f"Run: apt-get install --no-install-recommends {' '.join(missing)}",
        )


def _check_owner(lab: Lab) -> None:
    if lab.directory.exists() and lab.directory.stat().st_uid != os.geteuid():
        raise LabError(
            f"The practice fleet in {lab.directory} belongs to another user.",
            hint="Run this as that user, or set VMDASH_LAB_DIR to another folder.",
        )

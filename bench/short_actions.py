"""Starting and stopping a guest while 20 long jobs run, against the same with none; part of `make bench-latency`.

The long jobs are guests that move between kvm1 and kvm2 with their disks, at 1 MiB/s so that they last. Meanwhile, and
without them, in turn, a guest of kvm3 is started and forced off. What is timed is what a person waits for: from the
click (the POST of the page's form) until the job says that it is done.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

import httpx
from lxml import etree
from lxml.builder import E

from bench import browsing
from bench.report import Figure, at_most, report
from tests.booting import wait_for_boot
from tests.lab_fixtures import spare_lab
from tests.polling import poll
from tests.product import Product, running_product
from vmdash.lab import fleet, xml
from vmdash.lab.commands import LabError
from vmdash.lab.qemu_host import QemuHost

JOBS = 20
ROUNDS = 2
SAMPLES = 16
"""In each round, with the long jobs and without."""
DISK_MIB = 160
"""Lasts longer than a round."""
SETTINGS = {"VMDASH_MIGRATIONS_PER_HOST": str(JOBS)}
IMAGES = "/var/lib/libvirt/images"
QUICK = "quick"
WAYS = (("kvm1", "kvm2"), ("kvm2", "kvm1"))

Samples = dict[str, list[float]]
"""Seconds, by action."""


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to clear away whatever ends it
    print("Bringing up the practice fleet.", flush=True)
    with spare_lab() as lab:
        fleet.up(lab, print)
        hosts = {host.spec.name: host for host in fleet.qemu_hosts(lab)}
        wait_for_boot(hosts.values())
        for name in ("ci-7", "build-2"):
            hosts["kvm1"].virsh("destroy", name)  # they would take a processor from whoever is measured
        with running_product(lab, SETTINGS) as product:
            figures = _measure(product, hosts)
    return 0 if report("short-actions", figures) else 1


def _measure(product: Product, hosts: Mapping[str, QemuHost]) -> list[Figure]:
    product.share_settings()
    client = product.sign_in("operator")
    client.timeout = httpx.Timeout(60)
    calm: Samples = {"start": [], "force_off": []}
    busy: Samples = {"start": [], "force_off": []}
    with _quick_guest(hosts["kvm3"]) as quick, _movers(hosts) as movers:
        _act_in_turn(client, quick, {"start": [], "force_off": []}, 2)  # warms everything up
        for _ in range(ROUNDS):
            _act_in_turn(client, quick, calm, SAMPLES)
            with _long_jobs(client, movers):
                _act_in_turn(client, quick, busy, SAMPLES)
    for action in calm:
        print(f"{action}, seconds: alone {_words(calm[action])}; beside {JOBS} long jobs {_words(busy[action])}")
    return [
        at_most(
            f"{words} a guest while {JOBS} long jobs run, against none ({statistics.median(calm[action]):.2f} s)",
            statistics.median(busy[action]) / statistics.median(calm[action]),
            "×",
            1.2,
            "ratio of medians",
        )
        for action, words in (("start", "to start"), ("force_off", "to force off"))
    ]


def _words(seconds: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in seconds)


@contextmanager
def _quick_guest(host: QemuHost) -> Iterator[UUID]:
    """A guest that is off."""
    draft = host.directory / "quick.xml"
    draft.write_text(xml.filler(host.lab, QUICK))
    try:
        host.virsh("define", str(draft))
        yield _seen(host, QUICK, "shut_off")
    finally:
        for command in ("destroy", "undefine"):
            with suppress(LabError):
                host.virsh(command, QUICK)


@contextmanager
def _movers(hosts: Mapping[str, QemuHost]) -> Iterator[dict[UUID, str]]:
    """Transient guests with a disk of their own, and where each shall go."""
    names = {f"mover-{number + 1:02}": WAYS[number % len(WAYS)] for number in range(JOBS)}
    try:
        for name, (home, _) in names.items():
            _make_mover(hosts[home], name)
        yield {_seen(hosts[home], name, "running"): to for name, (home, to) in names.items()}
    finally:
        for name, way in names.items():
            for host in way:
                with suppress(LabError):
                    hosts[host].virsh("destroy", name)
                _image(hosts[host], name).unlink(missing_ok=True)


def _make_mover(host: QemuHost, name: str) -> None:
    image, content = _image(host, name), _image(host, "movers-content")
    if not content.exists():
        with content.open("wb") as file:
            for _ in range(DISK_MIB):
                file.write(os.urandom(1 << 20))
    shutil.copyfile(content, image)
    root = etree.fromstring(xml.filler(host.lab, name))
    devices = root.find("devices")
    assert devices is not None
    devices.insert(
        0,
        E.disk(
            {"type": "file", "device": "disk"},
            E.driver(name="qemu", type="raw"),
            E.source(file=f"{IMAGES}/{name}.raw"),
            E.target(dev="vda", bus="virtio"),
        ),
    )
    draft = host.directory / "mover.xml"
    draft.write_bytes(etree.tostring(root))
    host.virsh("create", str(draft))


def _image(host: QemuHost, name: str) -> Path:
    return host.root / IMAGES.lstrip("/") / f"{name}.raw"


def _seen(host: QemuHost, name: str, state: str) -> UUID:
    from domains.models import Domain

    uuid = UUID(host.virsh("domuuid", name).strip())
    poll(lambda: Domain.objects.present().filter(pk=uuid, state=state).exists(), 60, f"{name} to be seen")
    return uuid


@contextmanager
def _long_jobs(client: httpx.Client, movers: Mapping[UUID, str]) -> Iterator[None]:
    """Inside the block all guests are on their way, at its end too; afterwards they are where they were.

    Raises RuntimeError when one has arrived, or failed.
    """
    from hosts.models import Host

    keys = dict(Host.objects.values_list("name", "pk"))
    token = browsing.token(client.get(f"/domains/{next(iter(movers))}/migrate/"))
    jobs = []
    for uuid, to in movers.items():
        fields = {"csrfmiddlewaretoken": token, "target": str(keys[to]), "bandwidth_mib_s": "1"}
        answer = browsing.send(client, f"/domains/{uuid}/migrate/start/", fields)
        jobs.append(answer.json()["job"]["id"])
    poll(lambda: _on_their_way(jobs) == len(jobs), 120, "the long jobs to be on their way")
    yield
    if (still := _on_their_way(jobs)) != len(jobs):
        raise RuntimeError(f"Only {still} of {len(jobs)} long jobs ran to the end.")
    for job in jobs:
        browsing.send(client, f"/jobs/{job}/cancel/", {"csrfmiddlewaretoken": token})
    poll(lambda: _cancelled(jobs) == len(jobs), 120, "the long jobs to be cancelled")


def _on_their_way(jobs: list[str]) -> int:
    """How many of them run and have begun to copy. Raises RuntimeError when one has ended."""
    from vmdash.jobs.models import Job

    found = Job.objects.filter(pk__in=jobs)
    if ended := found.exclude(finished_at=None).first():
        raise RuntimeError(f"{ended.label} is {ended.state_words} already. {ended.error}")
    return found.filter(state=Job.State.RUNNING, done_bytes__gt=0).count()


def _cancelled(jobs: list[str]) -> int:
    from vmdash.jobs.models import Job

    return Job.objects.filter(pk__in=jobs, state=Job.State.CANCELLED).count()


def _act_in_turn(client: httpx.Client, uuid: UUID, taken: Samples, rounds: int) -> None:
    """Start the guest and force it off, so many times."""
    token = browsing.token(client.get(f"/domains/{uuid}/migrate/"))
    for _ in range(rounds):
        for action, before in (("start", "shut_off"), ("force_off", "running")):
            fields = {"csrfmiddlewaretoken": token, "action": action, "confirm": QUICK}
            poll(lambda: _is(uuid, before), 30, f"{QUICK} to be seen as {before}")  # noqa: B023
            began = time.perf_counter()
            answer = browsing.send(client, f"/domains/{uuid}/action/", fields)
            browsing.ended(answer.json()["job"]["id"])
            taken[action].append(time.perf_counter() - began)
    poll(lambda: _is(uuid, "shut_off"), 30, f"{QUICK} to be seen as off")


def _is(uuid: UUID, state: str) -> bool:
    from domains.models import Domain

    return Domain.objects.filter(pk=uuid, state=state).exists()


if __name__ == "__main__":
    sys.exit(main())

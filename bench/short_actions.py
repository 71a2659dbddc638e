"""Starting and stopping a guest while 20 long jobs run, against the same with none; part of `make bench-latency`.

What is timed is what a person waits for: from the click (the POST of the page's form) until the job says that it is
done. The long jobs are uploads that wait for their browser, and migrations slowed down to 1 MiB/s; as many of them run
as their limits allow, and the others wait for their turn.
"""

from __future__ import annotations

import signal
import statistics
import sys
import time
from uuid import UUID

import httpx

from bench import browsing
from bench.report import Figure, at_most, report
from tests.booting import wait_for_boot
from tests.lab_fixtures import spare_lab
from tests.polling import poll
from tests.product import Product, running_product
from vmdash.lab import fleet, xml
from vmdash.lab.qemu_host import QemuHost

GUEST = "bench-short"
SAMPLES = 20
LONG_JOBS = 20
LEAST_AT_WORK = 10
MOVES = (("kvm1", "kvm2", ("web1", "web2", "db1")), ("kvm2", "kvm1", ("wiki", "mail1")), ("kvm3", "kvm2", ("cache1",)))


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to clear away whatever ends it
    print("Bringing up the practice fleet.", flush=True)
    with spare_lab() as lab:
        fleet.up(lab, print)
        hosts = {host.spec.name: host for host in fleet.qemu_hosts(lab)}
        wait_for_boot(hosts.values())
        for name in ("ci-7", "build-2"):
            hosts["kvm1"].virsh("destroy", name)  # they would take a processor from whoever is measured
        draft = hosts["kvm2"].directory / "filler.xml"
        draft.write_text(xml.filler(lab, GUEST))
        hosts["kvm2"].virsh("define", str(draft))
        with running_product(lab) as product:
            figures = _measure(product, hosts)
    return 0 if report("short-actions", figures) else 1


def _measure(product: Product, hosts: dict[str, QemuHost]) -> list[Figure]:
    product.share_settings()
    from domains.models import Domain

    client = product.sign_in("operator")
    uuid = UUID(hosts["kvm2"].virsh("domuuid", GUEST).strip())
    poll(lambda: Domain.objects.present().filter(pk=uuid).exists(), 60, f"{GUEST} to be seen")
    _start_and_stop(client, uuid, 3)  # to warm everything up
    alone = _start_and_stop(client, uuid, SAMPLES)
    at_work = _begin_long_jobs(client)
    beside = _start_and_stop(client, uuid, SAMPLES)
    still = _at_work()
    print(f"seconds: alone {_words(alone)}; beside {LONG_JOBS} long jobs ({at_work} at work) {_words(beside)}")
    if still < LEAST_AT_WORK:
        raise RuntimeError(f"Only {still} of the long jobs were still at work at the end.")
    ratio = statistics.median(beside) / statistics.median(alone)
    return [at_most("short actions (start, stop) while 20 long jobs run, against none", ratio, "×", 1.2, "ratio")]


def _start_and_stop(client: httpx.Client, uuid: UUID, times: int) -> list[float]:
    """Seconds for each of `times` starts and as many stops."""
    from domains.models import Domain

    csrf = browsing.token(client.get(f"/domains/{uuid}/"))
    taken = []
    for _ in range(times):
        for action, state in (("start", "running"), ("force_off", "shut_off")):
            fields = {"csrfmiddlewaretoken": csrf, "action": action, "confirm": GUEST}
            began = time.perf_counter()
            browsing.ended(browsing.send(client, f"/domains/{uuid}/action/", fields).json()["job"]["id"])
            taken.append(time.perf_counter() - began)
            poll(lambda: Domain.objects.filter(pk=uuid, state=state).exists(), 20, f"{GUEST} to be {state}")  # noqa: B023
    return taken


def _begin_long_jobs(client: httpx.Client) -> int:
    """Returns how many of them are at work."""
    from domains.models import Domain
    from hosts.models import Host

    begun = 0
    for source, target, names in MOVES:
        to = Host.objects.get(name=target)
        for domain in Domain.objects.filter(name__in=names, host__name=source):
            page = f"/domains/{domain.pk}/migrate/"
            fields = {"target": str(to.pk), "persistent": "on", "bandwidth_mib_s": "1"}
            fields["csrfmiddlewaretoken"] = browsing.token(client.get(page))
            browsing.send(client, f"{page}start/", fields)
            begun += 1
    page = "/storage/pools/kvm1/default/upload-volume/"
    for number in range(LONG_JOBS - begun):
        name = f"bench-{number}.raw"
        browsing.post(client, page, {"name": name, "sha256": "", "size_bytes": str(1 << 30), "file_name": name})
    poll(lambda: _at_work() >= LEAST_AT_WORK, 60, f"{LEAST_AT_WORK} long jobs to be at work")
    return _at_work()


def _at_work() -> int:
    from vmdash.jobs.models import Job

    return Job.objects.filter(state=Job.State.RUNNING, kind__in=("domain.migrate", "volume.upload")).count()


def _words(seconds: list[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in seconds)


if __name__ == "__main__":
    sys.exit(main())

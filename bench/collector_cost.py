"""What the collector costs for each guest, against a bare loop of `getAllDomainStats`: `make bench-collector`.

60 real guests on one libvirtd of the practice fleet. The collector watches that host at its usual pace (states and CPU
every 2 s, everything every 10 s, and all the rest it does); then once more after most of the guests are gone. The
difference is what guests cost. The bare loop asks for the same groups of statistics at the same pace over a connection
like the collector's, and throws the answers away. CPU time of the client's side, in both cases.
"""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

from bench.collecting import CollectorAtWork, stores
from bench.report import Figure, at_most, report
from bench.usage import Meter
from tests.booting import wait_for_boot
from tests.lab_fixtures import spare_lab
from tests.polling import poll
from vmdash.lab import fleet
from vmdash.lab.fillers import filler_guests

if TYPE_CHECKING:
    from hosts.models import Host

GUESTS = 60
WINDOW_S = 165
"""Three sweeps, whenever they begin: one more or less would be a tenth of the figure or more."""
SETTLE_S = 60
"""After this every definition of new guests is read and written."""


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to clear away whatever ends it
    with spare_lab() as lab, stores():
        from hosts.models import Host
        from vmdash.main import demo

        fleet.up(lab, print)
        wait_for_boot(fleet.qemu_hosts(lab))
        practice = fleet.qemu_hosts(lab)[:1]
        demo.furnish(lab)
        host = Host.objects.get(name=practice[0].spec.name)
        Host.objects.exclude(pk=host.pk).update(enabled=False)
        own = len(practice[0].virsh("list", "--name").split())
        collector = CollectorAtWork()
        try:
            with filler_guests(practice, GUESTS - own):
                many = _collector_s(collector, GUESTS)
                bare = _bare_s(host)
            few = _collector_s(collector, own)
        finally:
            collector.stop()
    each, bare_each = (many - few) / (GUESTS - own), bare / GUESTS
    figures = [
        Figure(f"CPU of a collector with one host of {GUESTS} guests", round(100 * many, 2), "% of a core", "–", True),
        Figure("the same with the few guests that are left", round(100 * few, 2), "% of a core", "–", True),
        at_most(
            f"CPU of the collector for each guest ({1e6 * each:.1f} µs a second) against a bare loop of "
            f"getAllDomainStats ({1e6 * bare_each:.1f} µs)",
            each / bare_each,
            "×",
            3,
            "ratio",
        ),
    ]
    return 0 if report("collector-cost", figures) else 1


def _collector_s(collector: CollectorAtWork, running: int) -> float:
    """CPU seconds a second while so many guests run."""
    from domains.models import Domain

    poll(
        lambda: Domain.objects.present().filter(state="running", host__enabled=True).count() == running,
        120,
        f"{running} running guests",
    )
    time.sleep(SETTLE_S)
    meter, begun = Meter(collector.pid), time.monotonic()
    time.sleep(WINDOW_S)
    return meter.used_s() / (time.monotonic() - begun)


def _bare_s(host: Host) -> float:
    """CPU seconds a second of the bare loop; it has this thread for itself."""
    import libvirt
    from django.conf import settings

    from hosts.connect import connected
    from vmdash.virt.stats import FAST_GROUPS, SLOW_GROUPS

    flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
    used_s, slow_due = 0.0, 0.0
    with connected(host) as connection:
        begun = time.monotonic()
        while (now := time.monotonic()) < begun + WINDOW_S:
            groups = [FAST_GROUPS]
            if now >= slow_due:
                groups.append(SLOW_GROUPS)
                slow_due = now + settings.SLOW_INTERVAL_S
            before = time.thread_time()
            for some in groups:
                connection.raw.getAllDomainStats(some, flags)
            used_s += time.thread_time() - before
            time.sleep(settings.FAST_INTERVAL_S)
        return used_s / (time.monotonic() - begun)


if __name__ == "__main__":
    sys.exit(main())

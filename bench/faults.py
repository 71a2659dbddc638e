"""What sick hosts do to the pages: `make bench-faults`.

The whole product on the practice fleet. The guests page, the fleet page and a guest's page are asked for over HTTP
while all hosts are well, and again while one libvirtd is stopped, another killed and a fourth host drops connection
attempts; the ratio of the medians counts. Also: how soon the hosts say so, and how soon they are back.
"""

from __future__ import annotations

import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx

from bench.report import Figure, at_most, report
from tests.booting import wait_for_boot
from tests.lab_fixtures import spare_lab
from tests.polling import poll
from tests.product import Product
from vmdash.lab import fleet
from vmdash.lab.catalogue import GUESTS
from vmdash.lab.faults import black_hole, hung_libvirtd, killed_libvirtd
from vmdash.lab.qemu_host import QemuHost

REQUESTS = 60
DROPPING = "dropper"


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to clear away whatever ends it
    with spare_lab() as lab:
        fleet.up(lab, print)
        hosts = fleet.qemu_hosts(lab)
        wait_for_boot(hosts)
        product = Product(lab)
        try:
            product.start()
            product.furnish()
            figures = _measure(product, hosts, f"127.0.{lab.net}.9")
        finally:
            product.stop()
    return 0 if report("faults", figures) else 1


def _measure(product: Product, hosts: tuple[QemuHost, ...], free_address: str) -> list[Figure]:
    product.share_settings()
    client = product.sign_in("operator")
    poll(lambda: _count(client) == len(GUESTS), 60, "all guests to be seen")
    uuid = client.get("/domains/rows/").json()["rows"][0]["uuid"]
    pages = {"guests page": "/domains/", "fleet page": "/", "guest's page": f"/domains/{uuid}/"}
    normal = {name: _median_ms(client, path) for name, path in pages.items()}
    well, hung, killed = hosts
    with ExitStack() as faults:
        port = faults.enter_context(black_hole(free_address))
        _add_dropping_host(product, free_address, port)
        faults.enter_context(hung_libvirtd(hung))
        faults.enter_context(killed_libvirtd(killed))
        said_s = _seconds_until(lambda: _states(hung, killed) == {"unreachable"}, "the sick hosts to say so")
        sick = {name: _median_ms(client, path) for name, path in pages.items()}
        listed = _count(client)
        disturbed = _states(well) != {"up"}
    back_s = _seconds_until(lambda: _states(hung, killed) == {"up"}, "the hosts to be back")
    return [
        *(
            at_most(
                f"{name}: time with sick hosts against normal ({normal[name]:.1f} ms)",
                sick[name] / normal[name],
                "×",
                1.2,
                "ratio of medians",
            )
            for name in pages
        ),
        Figure("guests still listed", listed, "guests", f"= {len(GUESTS)}", listed == len(GUESTS)),
        Figure("the healthy host was disturbed", int(disturbed), "times", "= 0", not disturbed),
        at_most("until a stopped and a killed libvirtd are said to be unreachable", said_s, "s", 15, "both"),
        at_most("until they are back after they work again", back_s, "s", 15, "both"),
    ]


def _median_ms(client: httpx.Client, path: str) -> float:
    times = []
    for _ in range(REQUESTS):
        begun = time.perf_counter()
        client.get(path).raise_for_status()
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


def _count(client: httpx.Client) -> int:
    total: int = client.get("/domains/rows/").json()["total"]
    return total


def _states(*hosts: QemuHost) -> set[str]:
    """What the collector says of their connections."""
    from hosts.models import Host

    return set(Host.objects.filter(name__in=[host.spec.name for host in hosts]).values_list("state", flat=True))


def _add_dropping_host(product: Product, address: str, port: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "hosts.yaml"
        file.write_text(
            f"- {{name: {DROPPING}, driver: qemu, transport: tcp, address: {address}, port: {port}, path: /system}}\n"
        )
        product.manage("hosts", "import", str(file))


def _seconds_until(condition: Callable[[], bool], what: str) -> float:
    begun = time.monotonic()
    poll(condition, 60, what)
    return time.monotonic() - begun


if __name__ == "__main__":
    sys.exit(main())

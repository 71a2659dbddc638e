"""How long a change on a host takes to the browser: `make bench-latency`.

60 guests on the practice fleet's three hosts, the whole product beside them, and one WebSocket client that follows
the fleet and every host, as a browser would. A libvirt connection of its own suspends and resumes guests.
"""

from __future__ import annotations

import asyncio
import random
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
import websockets

from bench.report import at_most, report
from tests.booting import wait_for_boot
from tests.lab_fixtures import spare_lab
from tests.polling import poll
from tests.product import Product, running_product
from vmdash.lab import fleet
from vmdash.lab.catalogue import GUESTS
from vmdash.lab.fillers import filler_guests

if TYPE_CHECKING:
    from vmdash.virt.guest import Guest

GUEST_COUNT = 60
SAMPLES = 300
WARM_UP = 10
FIGURE = "from the `virDomainSuspend` call to the frame in a WebSocket client, 60 guests on 3 hosts"


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames that arrived for each guest: `(perf_counter at arrival, state)`."""

    waiting: dict[str, asyncio.Queue[tuple[float, str]]]

    async def state(self, uuid: str, state: str) -> float:
        """When the first frame came that says that the guest is in `state`."""
        async with asyncio.timeout(10):
            while True:
                at, said = await self.waiting[uuid].get()
                if said == state:
                    return at


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to clear away whatever ends it
    print("Bringing up the practice fleet and filling it to 60 guests.", flush=True)
    with spare_lab() as lab:
        fleet.up(lab, print)
        hosts = fleet.qemu_hosts(lab)
        with filler_guests(hosts, GUEST_COUNT - len(GUESTS)):
            wait_for_boot(hosts)
            with running_product(lab) as product:
                milliseconds = _measure(product)
    percentile = statistics.quantiles(milliseconds, n=100)
    figures = [
        at_most(FIGURE, statistics.median(milliseconds), "ms", 20, "median"),
        at_most(FIGURE, percentile[98], "ms", 80, "99th percentile"),
    ]
    return 0 if report("latency", figures) else 1


def _measure(product: Product) -> list[float]:
    """The latencies of `SAMPLES` suspensions, in milliseconds."""
    product.share_settings()
    from domains.models import Domain
    from hosts.models import Host

    client = product.sign_in("viewer")
    poll(lambda: Domain.objects.present().count() == GUEST_COUNT, 60, f"{GUEST_COUNT} guests to be seen")
    cookie = f"sessionid={client.cookies['sessionid']}"
    topics = ["fleet", *(f"host:{pk}" for pk in Host.objects.values_list("pk", flat=True))]
    with _running_guests() as running:
        return asyncio.run(_suspend_and_resume(product.url, cookie, topics, running))


@contextmanager
def _running_guests() -> Iterator[list[Guest]]:
    """Handles of the running guests, over connections of our own."""
    from hosts.connect import connected
    from hosts.models import Host
    from vmdash.virt.states import GuestState

    with ExitStack() as stack:
        connections = [stack.enter_context(connected(host)) for host in Host.objects.all()]
        yield [
            guest
            for connection in connections
            for guest in connection.guests()
            if guest.status().state is GuestState.RUNNING
        ]


async def _suspend_and_resume(url: str, cookie: str, topics: list[str], running: list[Guest]) -> list[float]:
    frames = Frames({guest.uuid: asyncio.Queue() for guest in running})
    latencies = []
    async with websockets.connect(
        url.replace("http", "ws", 1) + "/ws/live/",
        additional_headers={"Cookie": cookie},
        origin=websockets.Origin(url),
        max_size=None,
    ) as socket:
        await socket.send(orjson.dumps({"type": "watch", "topics": topics}).decode())
        receiving = asyncio.create_task(_receive(socket, frames))
        for number in range(WARM_UP + SAMPLES):
            guest = random.choice(running)
            called_at = await asyncio.to_thread(_suspend, guest)
            latency_s = await frames.state(guest.uuid, "paused") - called_at
            if number >= WARM_UP:
                latencies.append(latency_s * 1000)
            await asyncio.to_thread(guest.resume)
            await frames.state(guest.uuid, "running")
            await asyncio.sleep(random.uniform(0.05, 0.3))  # to meet the collector's rounds at any point
        receiving.cancel()
    return latencies


def _suspend(guest: Guest) -> float:
    called_at = time.perf_counter()
    guest.suspend()
    return called_at


async def _receive(socket: websockets.ClientConnection, frames: Frames) -> None:
    async for text in socket:
        at = time.perf_counter()
        for message in orjson.loads(text):
            if message["type"] == "guest" and message["row"]["uuid"] in frames.waiting:
                frames.waiting[message["row"]["uuid"]].put_nowait((at, message["row"]["state"]))


if __name__ == "__main__":
    sys.exit(main())

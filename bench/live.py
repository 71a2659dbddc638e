"""Figures to many browsers: `make bench-live`.

10,000 running guests on 200 hosts, whose figures change every two seconds: one process publishes each host's tick as
collectors do, with state changes between them. 200 WebSocket clients, each signed in with a session of its own and
following 40 guests by chance, as the guests page does, which are on some 36 hosts each. The web processes are those
that `manage.py run` starts; the clients and the publisher share the machine with it.

Measured: whether every tick of every followed host came, with exactly the figures of the guests that are followed, how
long each took from just before it was published, and the CPU of the web processes.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from string import Template
from typing import TYPE_CHECKING, Any

import orjson
import websockets

from bench.report import Figure, at_most, report
from bench.usage import Meter, descendants
from tests.polling import poll
from tests.services import Redis, Server, free_port
from vmdash.lab.layout import REPOSITORY

if TYPE_CHECKING:
    from vmdash.live.messages import Tick

BROWSERS = 200
WATCHED = 40
HOSTS = 200
GUESTS = 10_000
CHANGES_PER_S = 5
WARM_UP_S = 10
WINDOW_S = 60
LATE_S = 5
"""What has not come so long after the window counts as lost."""


class Web(Server):
    """The web processes, as in the Procfile."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        from django.conf import settings as ours

        super().__init__("web")
        self.port = free_port()
        command = next(line for line in (REPOSITORY / "Procfile").read_text().splitlines() if line.startswith("web: "))
        values = {"WEB_ADDRESS": "127.0.0.1", "WEB_PORT": self.port, "WEB_PROCESSES": ours.WEB_PROCESSES}
        words = Template(command).substitute(values).split()
        self._start("env", *(f"{name}={value}" for name, value in settings.items()), sys.executable, *words[3:])
        self._wait()

    def _answers(self) -> bool:
        import httpx

        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/sign-in/").status_code == 200
        except httpx.TransportError:
            return False


@dataclass(slots=True)
class Browser:
    """What one client follows and has heard."""

    session: str
    guests: Mapping[int, set[str]]
    """UUIDs by host."""
    ready: bool = False
    arrived: dict[tuple[int, int], float] = field(default_factory=dict)
    """When each tick came, by host and its time."""
    wrong: int = 0
    frames: int = 0
    characters: int = 0
    reloads: int = 0

    async def follow(self, url: str) -> None:
        topics = ["fleet", *(f"sample:{host}:{uuid}" for host, uuids in self.guests.items() for uuid in uuids)]
        async with websockets.connect(
            f"ws{url.removeprefix('http')}/ws/live/",
            additional_headers={"Cookie": f"sessionid={self.session}"},
            origin=websockets.Origin(url),
            max_size=None,
        ) as socket:
            await socket.send(orjson.dumps({"type": "watch", "topics": topics}).decode())
            async for text in socket:
                self._hear(text, time.time() * 1000)

    def _hear(self, text: str | bytes, now: float) -> None:
        self.frames += 1
        self.characters += len(text)
        for message in orjson.loads(text):
            if message["type"] == "tick":
                self.ready = True
                self.arrived[message["host"], message["at"]] = now
                self.wrong += message["guests"].keys() != self.guests[message["host"]]
            elif message["type"] == "reload":
                self.reloads += 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.live")
    parser.add_argument("--browsers", type=int, default=BROWSERS)
    parser.add_argument("--window", type=float, default=WINDOW_S, help="how long is measured, in seconds")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to clear away whatever ends it
    with ExitStack() as stack:
        web = stack.enter_context(_product())
        browsers = _browsers(asked.browsers)
        figures = _measure(web, browsers, asked.window)
    return 0 if report("live", figures) else 1


@contextmanager
def _product() -> Iterator[Web]:
    """A filled database and the web process. Django is set up for them in this process."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vmdash-bench-"))
        redis = Redis()
        stack.callback(redis.stop)
        settings = {
            "VMDASH_DATA_DIR": folder,
            "REDIS_URL": redis.url,
            "DATABASE_URL": f"sqlite:///{folder}/bench.sqlite3",
            "DJANGO_SETTINGS_MODULE": "vmdash.settings",
            "VMDASH_LOG_LEVEL": "ERROR",
        }
        for name in [name for name in os.environ if name.startswith("VMDASH_")]:
            del os.environ[name]
        os.environ |= settings
        for command in (["migrate", "-v0"], ["collectstatic", "-v0", "--no-input"]):
            subprocess.run([sys.executable, "manage.py", *command], cwd=REPOSITORY, check=True)
        import django

        django.setup()
        from bench import large_fleet
        from domains.models import Domain, DomainState
        from hosts.models import Host

        large_fleet.fill(hosts=HOSTS, guests=GUESTS)
        Host.objects.update(state=Host.State.UP)
        Domain.objects.update(state=DomainState.RUNNING, state_reason="booted")
        web = Web(settings)
        stack.callback(web.stop)
        yield web


def _browsers(count: int) -> list[Browser]:
    """Each a session of its own, and guests by chance."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    from domains.models import Domain
    from vmdash.access.roles import Role

    guests = [(host, str(pk)) for host, pk in Domain.objects.values_list("host_id", "pk")]
    chance = random.Random(count)
    made = []
    for number in range(count):
        client = Client()
        client.force_login(get_user_model().objects.create_user(f"viewer{number}", role=Role.VIEWER))
        followed: defaultdict[int, set[str]] = defaultdict(set)
        for host, uuid in chance.sample(guests, WATCHED):
            followed[host].add(uuid)
        made.append(Browser(client.cookies["sessionid"].value, followed))
    return made


def _measure(web: Web, browsers: Sequence[Browser], window_s: float) -> list[Figure]:
    context = multiprocessing.get_context("spawn")
    published = context.SimpleQueue()
    stop = context.Event()
    publisher = context.Process(target=publish, args=(published, stop), daemon=True)
    publisher.start()
    try:
        poll(lambda: not published.empty(), 60, "the first tick to be published")
        window = asyncio.run(_listen(web, browsers, window_s, stop))
        told = _all(published)
        publisher.join(10)
    finally:
        if publisher.is_alive():
            publisher.terminate()
    return _figures(browsers, told, window)


@dataclass(frozen=True, slots=True)
class Window:
    begin: float
    end: float
    web: float
    """Share of a core."""
    frames: float
    """Of all browsers, per second."""
    bytes_each: float
    """Of one browser, per second."""


async def _listen(web: Web, browsers: Sequence[Browser], window_s: float, stop: Any) -> Window:
    url = f"http://127.0.0.1:{web.port}"
    async with asyncio.TaskGroup() as group:
        tasks = []
        for browser in browsers:
            tasks.append(group.create_task(browser.follow(url)))
            await asyncio.sleep(0.02)  # people do not come all at once
        async with asyncio.timeout(60):
            while not all(browser.ready for browser in browsers):
                await asyncio.sleep(0.1)
        await asyncio.sleep(WARM_UP_S)
        meter, begin = Meter(*descendants(web.pid)), time.time()
        frames, characters = _heard(browsers)
        await asyncio.sleep(window_s)
        used_s, end = meter.used_s(), time.time()
        frames_then, characters_then = _heard(browsers)
        await asyncio.sleep(LATE_S)
        stop.set()
        for task in tasks:
            task.cancel()
    took_s = end - begin
    each = (characters_then - characters) / took_s / len(browsers)
    return Window(begin * 1000, end * 1000, used_s / took_s, (frames_then - frames) / took_s, each)


def _heard(browsers: Sequence[Browser]) -> tuple[int, int]:
    return sum(browser.frames for browser in browsers), sum(browser.characters for browser in browsers)


def _figures(browsers: Sequence[Browser], told: Mapping[int, Sequence[int]], window: Window) -> list[Figure]:
    latencies, lost, expected = [], 0, 0
    for browser in browsers:
        for host in browser.guests:
            for at in told[host]:
                if window.begin <= at < window.end:
                    expected += 1
                    arrived = browser.arrived.get((host, at))
                    if arrived is None:
                        lost += 1
                    else:
                        latencies.append(arrived - at)
    wrong, reloads = sum(browser.wrong for browser in browsers), sum(browser.reloads for browser in browsers)
    percentiles = statistics.quantiles(latencies, n=100)
    what = f"{len(browsers)} browsers × {WATCHED} guests of {GUESTS:,}"
    print(
        f"\n{window.frames:,.0f} frames/s in all, {window.bytes_each / 1024:.1f} KiB/s to each browser; latest tick "
        f"{max(latencies):.0f} ms",
        flush=True,
    )
    return [
        Figure(f"ticks not delivered, of {expected:,}, {what}", lost, "ticks", "= 0", lost == 0),
        Figure(f"ticks without just the figures that are followed, {what}", wrong, "ticks", "= 0", wrong == 0),
        Figure(f"browsers that were too slow, {what}", reloads, "times", "= 0", reloads == 0),
        Figure(f"from a tick's time to the frame, {what}", round(percentiles[49], 1), "ms", "median: –", True),
        at_most(f"from a tick's time to the frame, {what}", percentiles[98], "ms", 250, "99th percentile"),
        at_most(f"CPU of the web processes, {what}", window.web * 100, "% of a core", 100, "mean"),
    ]


# --- The publisher, a process of its own


def publish(published: Any, stop: Any) -> None:
    """Each host's tick every two seconds, evenly spread, through the collector's publisher. Tells when it is done which
    ticks there were: `{host: [time in Unix milliseconds, …]}`."""
    import django

    django.setup()
    asyncio.run(_publish_all(published, stop))


async def _publish_all(published: Any, stop: Any) -> None:
    from asgiref.sync import sync_to_async

    from bench import large_fleet
    from hosts.collector.publisher import Publisher
    from vmdash.live import groups
    from vmdash.live.redis import async_client

    ticks = await sync_to_async(lambda: list(large_fleet.ticks()))()
    rows = await sync_to_async(_rows)()
    client = async_client()
    publisher = Publisher(client)
    sending = asyncio.create_task(publisher.run())
    told: defaultdict[int, list[int]] = defaultdict(list)
    published.put(None)
    turn = Counter[str]()
    begun = time.monotonic()
    while not stop.is_set():
        tick = ticks[turn["ticks"] % len(ticks)]
        at = _send(publisher, tick)
        told[tick["host"]].append(at)
        turn["ticks"] += 1
        if turn["ticks"] % (len(ticks) // large_fleet.INTERVAL_S // CHANGES_PER_S) == 0:
            publisher.send([([groups.FLEET], {"type": "guest", "row": random.choice(rows)})])
        due = begun + turn["ticks"] * large_fleet.INTERVAL_S / len(ticks)
        await asyncio.sleep(max(0, due - time.monotonic()))
    sending.cancel()
    await client.aclose()
    published.put(dict(told))


def _send(publisher: Any, tick: Tick) -> int:
    from bench import large_fleet

    guests = {uuid: large_fleet.sample(sample["rss"] or 0, tick["at"]) for uuid, sample in tick["guests"].items()}
    at = time.time_ns() // 1_000_000
    fresh = tick | {"at": at, "guests": guests}
    pulse = {"type": "pulse", "host": tick["host"], "at": at, "interval_ms": tick["interval_ms"]}
    pulse |= {"sample": tick["sample"], "worst": []}
    publisher.tick(tick["host"], orjson.dumps(fresh).decode(), orjson.dumps(pulse).decode())
    return at


def _rows() -> list[Any]:
    from domains.models import Domain
    from domains.rows import guest_row

    return [guest_row(domain) for domain in Domain.objects.select_related("host")[:100]]


def _all(published: Any) -> Mapping[int, Sequence[int]]:
    published.get()
    told: Mapping[int, Sequence[int]] = published.get()
    return told


if __name__ == "__main__":
    sys.exit(main())

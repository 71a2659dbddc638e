"""`make bench-pages`: server time of the pages with 10,000 guests on 200 hosts, and of a guest's charts over 30 days.

Requests go in this process through the whole WSGI handler with all its middleware, signed in, while another process
writes the figures of every host every two seconds as collectors do. The database is a private SQLite file; with
`DATABASE_URL` set, a private database on that PostgreSQL server is measured as well.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bench.report import Figure, at_most, report
from tests.services import Redis, VictoriaMetrics, free_port

if TYPE_CHECKING:
    from django.test import Client

REQUESTS = 60
MOST_MS = 60
BARS_MS = {"the capacity page": 500}
CHART_REQUESTS = 20
CHART_MOST_MS = 150
DAYS = 30
SIZES = ((20, 1_000), (200, 10_000))


def main() -> int:
    databases = {"SQLite": ""}
    if url := os.environ.get("DATABASE_URL", ""):
        databases["PostgreSQL"] = url
    figures = [figure for name, url in databases.items() for figure in _measured(name, url)]
    return 0 if report("pages", figures) else 1


def _measured(database: str, url: str) -> list[Figure]:
    """Measure in a process of its own, since Django has one database for all its life."""
    server, store = Redis(), VictoriaMetrics(free_port(), "2")
    try:
        with tempfile.TemporaryDirectory(prefix="vmdash-bench-") as folder:
            private = {
                "VMDASH_DATA_DIR": folder,
                "REDIS_URL": server.url,
                "VMDASH_TSDB_URL": store.url,
                "DATABASE_URL": url or f"sqlite:///{folder}/bench.sqlite3",
                "VMDASH_LOG_LEVEL": "ERROR",
            }
            kept = {name: value for name, value in os.environ.items() if not name.startswith("VMDASH_")}
            command = [sys.executable, "-m", "bench.pages", "measure", database]
            output = subprocess.run(command, env=kept | private, check=True, stdout=subprocess.PIPE).stdout
    finally:
        server.stop()
        store.stop()
    return [Figure(**figure) for figure in json.loads(output)]


def measure(database: str) -> list[Figure]:
    """Of the database that the environment names."""
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "vmdash.settings"
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("collectstatic", verbosity=0, interactive=False)
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        return _compare(database)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def _compare(database: str) -> list[Figure]:
    times: dict[str, float] = {}
    queries: dict[str, list[int]] = {}
    for hosts, guests in SIZES:
        with _fleet(hosts, guests):
            client, pages = _operator(), _pages()
            for page, address in pages.items():
                queries.setdefault(page, []).append(_queries(lambda: _get(client, address)))  # noqa: B023
                times[page] = _median_ms(lambda: _get(client, address))  # noqa: B023
    figures = []
    for page in times:
        what = f"{page} with 10,000 guests on 200 hosts, {database}"
        figures.append(at_most(f"server time of {what}", times[page], "ms", BARS_MS.get(page, MOST_MS), "median"))
        few, many = queries[page]
        bar = f"no more than with 1,000: {few}"
        figures.append(Figure(f"queries of {what}", many, "queries", bar, many <= few))
    return [*figures, *_charts(database)]


def _charts(database: str) -> list[Figure]:
    """All charts of one guest over 30 days that were read every 10 s; what the store keeps from request to request is
    not used (`nocache`)."""
    from django.conf import settings

    from bench import past
    from domains.models import Domain

    guest = Domain.objects.select_related("host").filter(state="running", vcpus=2).order_by("name")[3]
    end = int(time.time())
    begin = end - DAYS * 86_400
    past.write(settings.TSDB_URL, past.guest_past(guest.host.name, str(guest.pk), guest.name, begin, end))
    client, figures = _operator(), []
    for span in ("hour", "day", "month"):
        address = f"/domains/{guest.pk}/charts.json?range={span}"
        lines = client.get(address).json()["charts"]["disk"]["lines"]
        known = sum(value is not None for value in lines[0]["values"])
        if known < 0.95 * len(lines[0]["values"]):
            raise RuntimeError(f"Only {known} points of the {span} are known.")
        took = _median_ms(lambda: _get(client, address), CHART_REQUESTS)  # noqa: B023
        what = f"server time of all charts of one guest over a {span}, {DAYS} days recorded, {database}"
        figures.append(at_most(what, took, "ms", CHART_MOST_MS, "median"))
    return figures


@contextmanager
def _fleet(hosts: int, guests: int) -> Any:
    """A filled database, and figures that move."""
    from django.core.management import call_command

    from bench import large_fleet
    from vmdash.live.redis import client

    call_command("flush", verbosity=0, interactive=False)
    client().flushall()
    large_fleet.fill(hosts=hosts, guests=guests)
    ticks = list(large_fleet.ticks())
    for tick in ticks:
        large_fleet.write(client(), tick)
    writer = multiprocessing.get_context("fork").Process(target=_tick, args=(ticks,), daemon=True)
    writer.start()
    try:
        yield
    finally:
        writer.terminate()
        writer.join()


def _tick(ticks: Any) -> None:
    import redis
    from django.conf import settings

    from bench import large_fleet

    large_fleet.keep_ticking(redis.Redis.from_url(settings.REDIS_URL), ticks)


def _operator() -> Client:
    from django.test import Client

    from vmdash.access.models import User
    from vmdash.access.roles import Role

    client = Client(headers={"host": "localhost"})
    person, _ = User.objects.get_or_create(username="operator", defaults={"role": Role.OPERATOR})
    client.force_login(person)
    return client


def _pages() -> dict[str, str]:
    from domains.models import Domain

    guest = Domain.objects.filter(state="running").order_by("name")[500]
    return {
        "the guests page": "/domains/",
        "the guests page sorted by steal": "/domains/?sort=-steal",
        "the guests page with a search": "/domains/?q=state:running+tag:prod+steal>2",
        "the rows of the guests table": "/domains/rows/?offset=500&limit=100",
        "the fleet page": "/",
        "a guest's page": f"/domains/{guest.pk}/",
        "the capacity page": "/capacity/",
    }


def _get(client: Client, address: str) -> None:
    response = client.get(address)
    if response.status_code != 200:
        raise RuntimeError(f"{address} answered {response.status_code}")


def _queries(request: Callable[[], None]) -> int:
    from django.db import connection

    count = 0

    def counting(execute: Any, *arguments: Any) -> Any:
        nonlocal count
        count += 1
        return execute(*arguments)

    with connection.execute_wrapper(counting):
        request()
    return count


def _median_ms(request: Callable[[], None], requests: int = REQUESTS) -> float:
    for _ in range(5):
        request()
    times = []
    for _ in range(requests):
        begin = time.perf_counter()
        request()
        times.append((time.perf_counter() - begin) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        from dataclasses import asdict

        print(json.dumps([asdict(figure) for figure in measure(sys.argv[2])]))
    else:
        sys.exit(main())

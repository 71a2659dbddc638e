"""`make bench-web`: 500 people are signed in, 50 of them act, on one machine.

The web processes as in the Procfile, on a private PostgreSQL, Redis and history store, with 10,000 guests on 200 hosts
whose figures come every two seconds, as collectors send them. Each of the 450 has a guest's page open, and the 50 have
the fleet's: they hear live figures. The 50 look at pages, search, use the desk, and ask for actions that become jobs;
each reads for five seconds (mean) before the next click. Nobody works on the jobs: no hypervisor is needed.

Measured is the whole request as its browser sees it. In the same run, before, the same clicks of one person who is
alone are the baseline.
"""

from __future__ import annotations

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
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import httpx
import orjson
import websockets

from bench.live import Web, publish
from bench.report import Figure, at_most, report
from bench.usage import Meter, descendants
from tests.polling import poll
from tests.services import PostgreSQL, Redis, VictoriaMetrics, free_port
from vmdash.lab.layout import REPOSITORY

HOSTS, GUESTS = 200, 10_000
PEOPLE, ACTING = 500, 50
READ_S, LONGEST_READ_S = 5.0, 20.0
ALONE_S, WARM_UP_S, WINDOW_S = 20, 10, 90
MOST_REQUESTS = 10_000
MOST_MS = 500
TOKEN = "b" * 32


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    session: str
    may_act: bool


@dataclass(slots=True)
class Took:
    """What requests took, in milliseconds by their sort, and what went wrong; of those that began after `since`."""

    since: float = 0
    by_sort: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Fleet:
    guests: Sequence[tuple[int, str, str]]
    """(number of the host, UUID, name) of each."""
    startable: Iterator[str]
    """UUIDs of guests that are off, each once: a job would keep others away."""


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to clear away whatever ends it
    with ExitStack() as stack:
        web, people, fleet = stack.enter_context(_product())
        figures = asyncio.run(_measure(web, people, fleet))
    return 0 if report("web", figures) else 1


@contextmanager
def _product() -> Iterator[tuple[Web, Sequence[Person], Fleet]]:
    """A filled database, figures that come, and the web process. Django is set up for them in this process."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vmdash-bench-"))
        redis, store, database = Redis(), VictoriaMetrics(free_port()), PostgreSQL()
        for server in (redis, store, database):
            stack.callback(server.stop)
        for name in [name for name in os.environ if name.startswith("VMDASH_")]:
            del os.environ[name]
        settings = {
            "VMDASH_DATA_DIR": folder,
            "REDIS_URL": redis.url,
            "VMDASH_TSDB_URL": store.url,
            "DATABASE_URL": database.url,
            "DJANGO_SETTINGS_MODULE": "vmdash.settings",
            "VMDASH_LOG_LEVEL": "ERROR",
        }
        os.environ |= settings
        subprocess.run(["createdb", "-h", database.directory, "-U", "postgres", "vmdash"], check=True)
        subprocess.run([sys.executable, "manage.py", "prepare"], cwd=REPOSITORY, check=True)
        import django

        django.setup()
        people, fleet = _fill()
        context = multiprocessing.get_context("spawn")
        begun, stop = context.SimpleQueue(), context.Event()
        publisher = context.Process(target=publish, args=(begun, stop), daemon=True)
        publisher.start()
        stack.callback(publisher.terminate)
        poll(lambda: not begun.empty(), 60, "the first figures")
        web = Web(settings)
        stack.callback(web.stop)
        yield web, people, fleet


def _fill() -> tuple[Sequence[Person], Fleet]:
    """The fleet, and people of all roles; a fifth may do their work at one site alone. Their sessions are open."""
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test import Client

    from bench import large_fleet
    from domains.models import Domain, DomainState
    from hosts.models import Site
    from vmdash.access.models import Grant
    from vmdash.access.reach import Scope
    from vmdash.access.roles import Role

    large_fleet.fill(hosts=HOSTS, guests=GUESTS)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as PostgreSQL does by itself after a while
    sites, people = list(Site.objects.order_by("pk")), []
    roles = (Role.VIEWER, Role.VIEWER, Role.HELP_DESK, Role.HELP_DESK, Role.OPERATOR)
    for number in range(PEOPLE):
        role, is_local = roles[number % len(roles)], number // len(roles) % 5 == 0
        user = get_user_model().objects.create_user(f"person{number}", role="" if is_local else role)
        if is_local:
            site = sites[number % len(sites)]
            Grant.objects.create(person=user, role=role, scope=Scope.SITE, scope_id=str(site.pk), scope_name=site.name)
        client = Client()
        client.force_login(user)
        may_act = role != Role.VIEWER and not is_local
        people.append(Person(user.username, client.cookies["sessionid"].value, may_act))
    guests = list(Domain.objects.order_by("name").values_list("host_id", "pk", "name"))
    off = Domain.objects.filter(state=DomainState.SHUT_OFF, state_reason="shutdown").order_by("name")
    startable = iter([str(pk) for pk in off.values_list("pk", flat=True)])
    return people, Fleet([(host, str(pk), name) for host, pk, name in guests], startable)


async def _measure(web: Web, people: Sequence[Person], fleet: Fleet) -> list[Figure]:
    url = f"http://127.0.0.1:{web.port}"
    chance = random.Random(PEOPLE)
    alone = Took()
    operator = next(person for person in people if person.may_act)
    async with asyncio.timeout(ALONE_S * 3):
        await _act(url, [operator], fleet, alone, random.Random(1), read_s=0.05, until=time.monotonic() + ALONE_S)
    together = Took()
    async with asyncio.TaskGroup() as group, asyncio.timeout(300):
        pages = [
            group.create_task(_keep_open(url, person, fleet, chance, is_acting=number < ACTING))
            for number, person in enumerate(people)
        ]
        await asyncio.sleep(WARM_UP_S)
        together.since = time.monotonic() + WARM_UP_S
        until = together.since + WINDOW_S
        acting = group.create_task(_act_together(url, people, fleet, together, until))
        await asyncio.sleep(WARM_UP_S)
        meter = Meter(*descendants(web.pid))
        await acting
        took_s = time.monotonic() - together.since
        share = meter.used_s() / took_s
        lost = [page for page in pages if page.done()]
        for page in pages:
            page.cancel()
    together.errors += [f"{len(lost)} open pages lost their connection"] if lost else []
    return _figures(alone, together, share, took_s)


async def _act_together(url: str, people: Sequence[Person], fleet: Fleet, took: Took, until: float) -> None:
    """`ACTING` of them at any time; each slot passes from one person to another. They do not begin anew when it is
    measured: fifty who come at the same moment are not what fifty who work are."""
    async with asyncio.TaskGroup() as group:
        for slot in range(ACTING):
            group.create_task(
                _act(url, people[slot::ACTING], fleet, took, random.Random(slot), read_s=READ_S, until=until)
            )


async def _keep_open(url: str, person: Person, fleet: Fleet, chance: random.Random, *, is_acting: bool) -> None:
    """A page that hears live figures, until it is cancelled."""
    host, uuid, _ = chance.choice(fleet.guests)
    await asyncio.sleep(chance.uniform(0, WARM_UP_S * 0.8))
    async with websockets.connect(
        f"ws{url.removeprefix('http')}/ws/live/",
        additional_headers={"Cookie": f"sessionid={person.session}"},
        origin=websockets.Origin(url),
        max_size=None,
        compression=None,
    ) as socket:
        topics = [f"sample:{host}:{uuid}", *(["fleet"] if is_acting else [])]
        await socket.send(orjson.dumps({"type": "watch", "topics": topics}).decode())
        async for _ in socket:
            pass


async def _act(
    url: str, people: Sequence[Person], fleet: Fleet, took: Took, chance: random.Random, *, read_s: float, until: float
) -> None:
    """One after the other comes, clicks through some pages and goes."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        await asyncio.sleep(chance.uniform(0, read_s))
        while True:
            person = chance.choice(people)
            client.cookies = httpx.Cookies({"sessionid": person.session, "csrftoken": TOKEN})
            for sort, method, address, fields in _clicks(person, fleet, chance):
                if time.monotonic() > until or took.requests >= MOST_REQUESTS:
                    return
                await _click(client, sort, method, address, fields, took)
                await asyncio.sleep(min(chance.expovariate(1 / read_s), LONGEST_READ_S))


async def _click(
    client: httpx.AsyncClient, sort: str, method: str, address: str, fields: dict[str, str], took: Took
) -> None:
    headers = {"X-CSRFToken": TOKEN, "Origin": str(client.base_url).rstrip("/"), "Accept": "text/html"}
    begin = time.monotonic()
    counts = begin >= took.since
    took.requests += counts
    try:
        answer = await client.request(method, address, data=fields or None, headers=headers)
    except httpx.HTTPError as error:
        took.errors.append(f"{sort}: {error!r}")
        return
    if counts:
        took.by_sort[sort].append((time.monotonic() - begin) * 1000)
    asked = method == "POST"
    if answer.status_code != (302 if asked else 200):
        took.errors.append(f"{sort}: {address} answered {answer.status_code}")


def _clicks(person: Person, fleet: Fleet, chance: random.Random) -> Iterator[tuple[str, str, str, dict[str, str]]]:
    """What a person does in one visit: `(sort, method, address, fields)`."""
    _, uuid, name = chance.choice(fleet.guests)
    if person.may_act:
        yield "the desk", "GET", "/desk/", {}
        yield "a search at the desk", "GET", f"/desk/?q={name}", {}
        for _ in range(2):
            if guest := next(fleet.startable, None):
                yield "an action that becomes a job", "POST", f"/domains/{guest}/action/", {"action": "start"}
        yield "the jobs page", "GET", "/jobs/", {}
        yield "a guest's page", "GET", f"/domains/{uuid}/", {}
    yield "the fleet page", "GET", "/", {}
    yield "the guests page", "GET", "/domains/", {}
    yield "rows of the guests page", "GET", f"/domains/rows/?offset={chance.randrange(1, 9) * 100}&limit=100", {}
    yield "a search for guests", "GET", f"/domains/?q={chance.choice(SEARCHES)}", {}
    yield "the hosts page", "GET", "/hosts/", {}


SEARCHES = ("state:running+tag:prod+steal>2", "web", "state:paused", "kafka+tag:test", "cpu>50")


def _figures(alone: Took, together: Took, share: float, took_s: float) -> list[Figure]:
    for error in together.errors[:10]:
        print(f"  {error}", flush=True)
    what = f"{PEOPLE} people signed in, {ACTING} acting"
    print(f"\n{together.requests / took_s:.1f} requests/s; web processes: {100 * share:.0f} % of a core", flush=True)
    print(f"\n{'ms':>32} {'50th':>7} {'95th':>7} {'99th':>7} {'alone':>7} {'ratio':>7} {'number':>7}")
    figures = []
    for sort, times in sorted(together.by_sort.items()):
        cuts = statistics.quantiles(times, n=100)
        base = statistics.median(alone.by_sort[sort]) if alone.by_sort[sort] else float("nan")
        print(
            f"{sort:>32} {cuts[49]:7.1f} {cuts[94]:7.1f} {cuts[98]:7.1f} {base:7.1f} {cuts[49] / base:7.2f} "
            f"{len(times):7d}",
            flush=True,
        )
        figures.append(at_most(f"{sort}, {what}", cuts[98], "ms", MOST_MS, "99th percentile"))
        ratio = round(cuts[49] / base, 2)
        figures.append(Figure(f"{sort}, {what}: against one person alone", ratio, "×", "median: –", True))
    every = [took for times in together.by_sort.values() for took in times]
    base = statistics.median([took for times in alone.by_sort.values() for took in times])
    cuts = statistics.quantiles(every, n=100)
    wrong = len(together.errors) + len(alone.errors)
    return [
        at_most(f"all requests, {what}", cuts[98], "ms", MOST_MS, "99th percentile"),
        Figure(f"all requests, {what}: median", round(cuts[49], 1), "ms", "–", True),
        Figure(f"all requests, {what}: against one person alone", round(cuts[49] / base, 2), "×", "median: –", True),
        Figure(f"errors, of {together.requests:,} requests", wrong, "errors", "= 0", wrong == 0),
        *figures,
    ]


if __name__ == "__main__":
    sys.exit(main())

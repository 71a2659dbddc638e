"""The web processes as they really run, and a PostgreSQL that goes and comes back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.polling import poll
from tests.services import PostgreSQL, Redis, Server, free_port
from vmdash.lab.layout import REPOSITORY

pytestmark = pytest.mark.one_database


class Web(Server):
    """`manage.py process web`, as systemd runs it."""

    def __init__(self, database: PostgreSQL, redis: Redis) -> None:
        super().__init__("web")
        self.url = f"http://127.0.0.1:{free_port()}"
        ours = {name: value for name, value in os.environ.items() if not name.startswith("VMDASH_")}
        self.environment = ours | {
            "VMDASH_DATA_DIR": str(self.directory),
            "VMDASH_WEB_LISTEN": self.url.removeprefix("http://"),
            "DATABASE_URL": database.url,
            "REDIS_URL": redis.url,
        }

    def manage(self, *arguments: str) -> None:
        command = [sys.executable, "manage.py", *arguments]
        subprocess.run(command, cwd=REPOSITORY, env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def begin(self) -> None:
        changed = (f"{name}={value}" for name, value in self.environment.items() if os.environ.get(name) != value)
        strange = [word for name in os.environ if name not in self.environment for word in ("-u", name)]
        self._start("env", *strange, *changed, sys.executable, REPOSITORY / "manage.py", "process", "web")
        self._wait()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=30).is_success
        except httpx.TransportError:
            return False

    def fails(self) -> set[str]:
        """What keeps it from serving people."""
        return set(httpx.get(f"{self.url}/readyz", timeout=60).json()["failed"])


@pytest.fixture(scope="module")
def database() -> Iterator[PostgreSQL]:
    server = PostgreSQL()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def web(database: PostgreSQL) -> Iterator[Web]:
    with ExitStack() as stack:
        redis = Redis()
        stack.callback(redis.stop)
        subprocess.run(["createdb", "-h", database.directory, "-U", "postgres", "vmdash"], check=True)
        server = Web(database, redis)
        stack.callback(server.stop)
        server.manage("migrate", "-v0")
        server.begin()
        yield server


def test_while_the_database_is_away_that_is_said_and_it_is_used_again_once_it_is_back(
    database: PostgreSQL, web: Web
) -> None:
    assert web.fails() == {"collector"}
    database.kill()
    assert web.fails() == {"database", "collector"}
    database.begin()
    poll(lambda: web.fails() == {"collector"}, 60, "the database to be used again")


def test_many_requests_share_a_few_connections(database: PostgreSQL, web: Web) -> None:
    before = _opened(database)
    for _ in range(60):
        assert web.fails() == {"collector"}
    assert _opened(database) - before < 20


def _opened(database: PostgreSQL) -> int:
    """How often somebody has connected to the database."""
    query = "select sessions from pg_stat_database where datname = 'vmdash'"
    command = ["psql", "-h", str(database.directory), "-U", "postgres", "-Atc", query]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

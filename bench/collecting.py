"""Collectors at work with private servers, for benchmarks."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.services import PostgreSQL, Redis, Server, VictoriaMetrics, free_port

ROOT = Path(__file__).parent.parent


class CollectorAtWork(Server):
    def __init__(self) -> None:
        super().__init__("collector")
        self._start(sys.executable, ROOT / "manage.py", "collect")
        self._wait()

    def _answers(self) -> bool:
        return " starts" in self.log

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()


@contextmanager
def stores(**settings: int) -> Iterator[dict[str, Server]]:
    """Private servers, and Django set up in this process with them. `settings` as in `VMDASH_…`."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vmdash-bench-"))
        redis, database, port = Redis(), PostgreSQL(), free_port()
        history = VictoriaMetrics(port, memory_percent=10)  # 2 GiB and more: see docs/production.md
        servers: dict[str, Server] = {"Redis": redis, "PostgreSQL": database, "history store": history}
        for one in servers.values():
            stack.callback(one.stop)
        for name in [name for name in os.environ if name.startswith("VMDASH_") and not name.startswith("VMDASH_LAB_")]:
            del os.environ[name]
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "vmdash.settings",
            "VMDASH_DATA_DIR": folder,
            "REDIS_URL": redis.url,
            "DATABASE_URL": database.url,
            "VMDASH_TSDB_URL": history.url,
            **{f"VMDASH_{name}": str(value) for name, value in settings.items()},
        }
        import psycopg

        with psycopg.connect(f"host={database.directory} user=postgres dbname=postgres", autocommit=True) as client:
            client.execute("CREATE DATABASE vmdash")
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        yield servers

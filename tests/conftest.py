"""What every test may use: private servers, people with their clients.

The environment is set here, at import, before anything loads the settings: the tests of the
subfolders import models, and nobody's real settings may leak into a test run.

    VMDASH_TEST_DATABASE=postgresql pytest    # a private PostgreSQL instead of SQLite
"""

from __future__ import annotations

import atexit
import inspect
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import hypothesis
import pytest

from tests import services

DATA_DIR = Path(tempfile.mkdtemp(prefix="vmdash-tests-"))
atexit.register(shutil.rmtree, DATA_DIR, ignore_errors=True)

REDIS = services.Redis()
atexit.register(REDIS.stop)

TSDB_PORT = services.free_port()
_DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup"}


def _set_environment() -> None:
    for name in list(os.environ):
        if name.startswith("VMDASH_") and not name.startswith(("VMDASH_TEST_", "VMDASH_LAB_")):
            del os.environ[name]
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "vmdash.settings",
        "VMDASH_DATA_DIR": str(DATA_DIR),
        "REDIS_URL": REDIS.url,
        "VMDASH_TSDB_URL": f"http://127.0.0.1:{TSDB_PORT}",
        "VMDASH_WEB_LISTEN": f"127.0.0.1:{services.free_port()}",
        "VMDASH_CONSOLE_LISTEN": f"127.0.0.1:{services.free_port()}",
        "VMDASH_TRANSFER_LISTEN": f"127.0.0.1:{services.free_port()}",
        "DATABASE_URL": _database_url(os.environ.get("VMDASH_TEST_DATABASE", "sqlite")),
    }
    (DATA_DIR / "static").mkdir()


def _database_url(kind: str) -> str:
    if kind == "sqlite":
        return f"sqlite:///{DATA_DIR / 'tests.sqlite3'}"
    if kind == "postgresql":
        server = services.PostgreSQL()
        atexit.register(server.stop)
        return server.url
    raise pytest.UsageError(f"VMDASH_TEST_DATABASE is {kind!r}. Write sqlite or postgresql.")


_set_environment()
hypothesis.settings.register_profile("untimed", deadline=None)  # how long an example takes is the machine's affair
hypothesis.settings.load_profile("untimed")

import django  # noqa: E402  (the settings are read from here on)
from django.conf import settings as django_settings  # noqa: E402

# Hashing passwords well takes a third of a second each; hashed file names need `collectstatic`.
django_settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
django_settings.STORAGES = {
    **django_settings.STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# The tests' database is the one that DATABASE_URL names, so that processes which a test starts see it too.
django_settings.DATABASES["default"]["TEST"] = {"NAME": django_settings.DATABASES["default"]["NAME"]}
django.setup()

from django.db import OperationalError, connection  # noqa: E402
from django.test import Client  # noqa: E402

from tests.factories import UserFactory  # noqa: E402
from vmdash.access.models import User  # noqa: E402
from vmdash.access.roles import Role  # noqa: E402
from vmdash.live import redis as live_redis  # noqa: E402

FLUSHES = 5

pytest_plugins = ["tests.process_fixtures", "tests.lab_fixtures"]


def pytest_configure() -> None:
    """What stops the tests from outside ends them as Ctrl-C does: fixtures take down what they brought up.

    Shells have what they start in the background ignore Ctrl-C, and its children would do the same.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Why tests were tried again: what passes at last says nothing by itself."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.write_sep("_", f"a first try of {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)


def pytest_xdist_setupnodes() -> None:
    """Processes that run tests side by side set their own environment, before the settings are read."""
    del os.environ["DJANGO_SETTINGS_MODULE"]


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What touches no database need not be run once for each."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        # One that takes `request` may ask for any other fixture while it runs.
        asks_later = isinstance(item, pytest.Function) and "request" in inspect.signature(item.function).parameters
        if not (item.get_closest_marker("django_db") or asks_later or _DATABASE_FIXTURES.intersection(fixtures)):
            item.add_marker(pytest.mark.one_database)


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """Tests that run side by side need no databases with other names: each process has a server of its own."""


@pytest.fixture(scope="session", autouse=True)
def flush_beside_others() -> Iterator[None]:
    """Emptying the tables after a test locks them all. When a process that the test started locks some of them in
    another order, PostgreSQL turns one of the two away: then it is tried again."""
    empty = connection.ops.execute_sql_flush

    def try_again(sql_list: list[str]) -> None:
        for _ in range(FLUSHES):
            try:
                return empty(sql_list)
            except OperationalError as error:
                if "deadlock" not in str(error):
                    raise
        return empty(sql_list)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection.ops, "execute_sql_flush", try_again)
        yield


@pytest.fixture(autouse=True)
def empty_redis() -> None:
    """Each test finds Redis empty."""
    live_redis.client().flushall()


@pytest.fixture(scope="session")
def redis_server() -> services.Redis:
    """For tests that kill it, and have it begin again."""
    return REDIS


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The address of the tests' Redis, the same as `settings.REDIS_URL`."""
    return REDIS.url


@pytest.fixture(scope="session")
def victoria_metrics() -> Iterator[str]:
    """A private history store at `settings.TSDB_URL`, for those who ask. The value is its URL."""
    server = services.VictoriaMetrics(TSDB_PORT)
    yield server.url
    server.stop()


@pytest.fixture
def empty_history(victoria_metrics: str) -> Iterator[str]:
    """The same, with nothing in it, before and after: for tests of what is asked of all hosts or guests."""
    _forget_history(victoria_metrics)
    yield victoria_metrics
    _forget_history(victoria_metrics)


def _forget_history(url: str) -> None:
    httpx.get(f"{url}/internal/force_flush").raise_for_status()
    everything = {"match[]": '{__name__!=""}'}
    httpx.post(f"{url}/api/v1/admin/tsdb/delete_series", data=everything).raise_for_status()


@pytest.fixture
def nobody(db: None) -> User:
    """A person without a role."""
    return UserFactory.create(username="nobody", role="")


@pytest.fixture
def viewer(db: None) -> User:
    return UserFactory.create(username="viewer", role=Role.VIEWER)


@pytest.fixture
def help_desk(db: None) -> User:
    return UserFactory.create(username="helpdesk", role=Role.HELP_DESK)


@pytest.fixture
def operator(db: None) -> User:
    return UserFactory.create(username="operator", role=Role.OPERATOR)


@pytest.fixture
def administrator(db: None) -> User:
    return UserFactory.create(username="admin", role=Role.ADMINISTRATOR)


@pytest.fixture
def client_of() -> Callable[[User], Client]:
    """Makes a signed-in test client: `client_of(operator).get("/")`."""

    def sign_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        session = client.session
        session["seen_at"] = int(time.time())  # they were here a moment ago: nothing is noted at the next request
        session.save()
        return client

    return sign_in


@pytest.fixture
def anonymous_client(db: None) -> Client:
    return Client()


@pytest.fixture
def nobody_client(nobody: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(nobody)


@pytest.fixture
def viewer_client(viewer: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(viewer)


@pytest.fixture
def help_desk_client(help_desk: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(help_desk)


@pytest.fixture
def operator_client(operator: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(operator)


@pytest.fixture
def administrator_client(administrator: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(administrator)

"""What `manage.py run` looks at and writes down before it starts anything."""

from __future__ import annotations

import os
import socket
import stat
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from pytest_django import Settings

from tests.polling import poll
from tests.services import free_port
from vmdash.exceptions import Conflict, Unavailable
from vmdash.live import redis as live_redis
from vmdash.main import prepare, programs


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def names() -> list[str]:
    return [program.name for program in programs.programs()]


def test_servers_elsewhere_are_not_started(settings: Settings) -> None:
    settings.EMBEDDED_REDIS, settings.EMBEDDED_TSDB = True, False
    assert "redis" in names()
    assert "history" not in names()


def test_a_taken_port_is_told_with_the_setting_that_moves_it(settings: Settings, taken_port: int) -> None:
    settings.WEB_LISTEN = ("127.0.0.1", taken_port)
    with pytest.raises(Unavailable, match=rf"port {taken_port}.*VMDASH_WEB_LISTEN"):
        programs.check_addresses()


def test_a_redis_elsewhere_that_is_away_is_told(settings: Settings) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    live_redis.client.cache_clear()
    try:
        with pytest.raises(Unavailable, match="REDIS_URL"):
            programs.check_addresses()
    finally:
        live_redis.client.cache_clear()


def test_one_data_directory_serves_one_set_of_processes(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"
    with prepare.data_directory(), pytest.raises(Conflict, match="already runs"), prepare.data_directory():
        pass
    with prepare.data_directory():
        assert stat.S_IMODE(settings.DATA_DIR.stat().st_mode) == 0o700


def test_the_password_of_redis_is_in_a_file_that_only_its_owner_reads(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    prepare.write_redis_config()
    file = tmp_path / "redis/redis.conf"
    assert f'requirepass "{settings.REDIS_PASSWORD}"\n' in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert settings.REDIS_PASSWORD not in "".join(program.command for program in programs.programs())


def test_alerts_read_the_history_and_write_what_they_find_where_the_collector_does(settings: Settings) -> None:
    settings.TSDB_URL, settings.TSDB_WRITE_URL = "http://store:8428", "http://vmagent:8429"
    words = string.Template(programs.commands()["alerts"]).safe_substitute(programs.environment()).split()
    assert {'-datasource.url="http://store:8428"', '-remoteRead.url="http://store:8428"'} <= {*words}
    assert '-remoteWrite.url="http://vmagent:8429"' in words


def test_a_password_of_any_characters_opens_redis(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR, settings.REDIS_PORT = tmp_path, free_port()
    settings.REDIS_PASSWORD = 'with space # "quotes" and \\n é'
    prepare.write_redis_config()
    with subprocess.Popen(["redis-server", tmp_path / "redis/redis.conf"]) as server:
        client = redis.Redis(port=settings.REDIS_PORT, password=settings.REDIS_PASSWORD)
        try:
            poll(lambda: _answers(client), what="Redis to let us in")
        finally:
            server.terminate()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_the_processes_use_this_python(settings: Settings) -> None:
    settings.WEB_LISTEN = ("::1", 8123)
    environment = programs.environment()
    assert (environment["WEB_ADDRESS"], environment["WEB_PORT"]) == ("::1", "8123")
    assert environment["PATH"].endswith(os.environ["PATH"])

"""The audit trail to a syslog server."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from pytest_django import Settings

from tests import services
from tests.polling import PATIENCE
from vmdash.access.audit import record
from vmdash.access.models import AuditEntry, AuditHead, User
from vmdash.access.trail import syslog
from vmdash.celery import app
from vmdash.main import tasks
from vmdash.settings import _is_syslog

pytestmark = pytest.mark.django_db

MESSAGE = re.compile(
    r"<(?P<priority>\d+)>1 (?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (?P<host>\S+) vmdash (?P<pid>\d+) "
    r"(?P<id>\S+) \[vmdash@32473 (?P<data>.*)\] \ufeff(?P<words>.*)",
    re.DOTALL,
)


@pytest.fixture
def server(settings: Settings) -> Iterator[socket.socket]:
    """A server that listens on UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(5 * PATIENCE)
        settings.SYSLOG_URL = f"udp://127.0.0.1:{listening.getsockname()[1]}"
        yield listening


def received(server: socket.socket) -> re.Match[str]:
    message = MESSAGE.fullmatch(server.recv(65536).decode())
    assert message
    return message


def test_an_entry_is_sent_with_its_number_and_hash(server: socket.socket, operator: User) -> None:
    record(user=operator, action="domain.start", target_kind="domain", target_name="web1")
    record(user=operator, action="console.connect", target_name='a "name" with ] and \\', refused=True)
    tasks.tend_audit()
    done, refused = received(server), received(server)
    first = AuditEntry.objects.get(number=1)
    assert (done["priority"], refused["priority"]) == (str(10 * 8 + 6), str(10 * 8 + 4))
    assert (done["id"], done["words"]) == ("domain.start", "operator domain.start web1")
    for pair in ('number="1"', f'hash="{first.hash}"', 'user="operator"', 'target_name="web1"', 'result="done"'):
        assert pair in done["data"]
    assert r'target_name="a \"name\" with \] and \\"' in refused["data"]


def test_nothing_is_sent_twice(server: socket.socket) -> None:
    record(user=None, action="one")
    tasks.tend_audit()
    tasks.tend_audit()
    record(user=None, action="two")
    tasks.tend_audit()
    assert [received(server)["id"], received(server)["id"]] == ["one", "two"]
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.recv(1)


def test_over_tcp_each_message_is_a_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syslog, "AT_ONCE", 2)
    for number in range(3):
        record(user=None, action=f"a.{number}", detail="two\nlines")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings.SYSLOG_URL = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        tasks.tend_audit()
        lines: list[str] = []
        for _ in range(2):
            with listening.accept()[0] as connection, connection.makefile(encoding="utf-8") as stream:
                lines += stream.read().splitlines()
    assert [MESSAGE.fullmatch(line)["id"] for line in lines] == ["a.0", "a.1", "a.2"]  # type: ignore[index]


def test_what_cannot_be_sent_is_sent_later(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    port = services.free_port()
    settings.SYSLOG_URL = f"tcp://127.0.0.1:{port}"
    record(user=None, action="one")
    tasks.tend_audit()
    assert "cannot be sent to syslog" in caplog.text
    assert AuditHead.objects.get().sent_number == 0
    with socket.create_server(("127.0.0.1", port)) as listening:
        tasks.tend_audit()
        with listening.accept()[0] as connection:
            assert b" one " in connection.recv(65536)
    assert AuditHead.objects.get().sent_number == 1


def test_without_a_server_entries_are_chained_all_the_same(settings: Settings) -> None:
    settings.SYSLOG_URL = ""
    record(user=None, action="one")
    tasks.tend_audit()
    assert AuditEntry.objects.get().number == 1


def test_which_addresses_a_server_can_have() -> None:
    for url in ("udp://logs:514", "tcp://logs", "unix:///dev/log"):
        assert _is_syslog(urlsplit(url))
    for url in ("http://logs", "udp://", "unix://", "logs:514"):
        assert not _is_syslog(urlsplit(url))


def test_the_scheduler_asks_for_it() -> None:
    app.loader.import_default_modules()
    entry = app.conf.beat_schedule["audit"]
    assert entry["schedule"] == 10
    assert entry["task"] in app.tasks

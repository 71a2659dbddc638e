"""What monitoring reads: vmdash's own health, and hosts and guests under the exporters' names."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import Settings

from bench.past import guest_past, host_past, write
from tests.factories import DomainFactory, HostFactory, JobFactory
from tests.polling import poll
from tests.services import free_port
from tests.ticks import write_tick
from vmdash.access.models import User

pytestmark = pytest.mark.django_db

TOKEN = "a-token-that-nobody-guesses"
PATHS = ["/metrics", "/metrics/fleet"]
LINE = re.compile(r'[a-z_]+(\{([a-z_]+="[^"]*",?)*\})? -?[0-9.e+-]+( [0-9]+)?')


def values(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(LINE.fullmatch(line) for line in lines), text
    return {line.split(" ")[0]: float(line.split(" ")[1]) for line in lines}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("person", "status"), [("nobody", 403), ("viewer", 200), ("help_desk", 200), ("operator", 200)]
)
def test_who_may_read_them(
    victoria_metrics: str, path: str, person: str, status: int, client_of: Callable[[User], Client],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    assert client_of(request.getfixturevalue(person)).get(path).status_code == status


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("known", "sent", "status"),
    [
        (TOKEN, f"Bearer {TOKEN}", 200),
        (TOKEN, f"bearer {TOKEN}", 200),
        (TOKEN, "Bearer wrong", 401),
        (TOKEN, f"Basic {TOKEN}", 401),
        (TOKEN, "", 401),
        ("", "Bearer ", 401),
        ("", "", 401),
    ],
)
def test_monitoring_comes_with_the_token(
    victoria_metrics: str, anonymous_client: Client, settings: Settings, path: str, known: str, sent: str, status: int
) -> None:
    settings.METRICS_TOKEN = known
    answer = anonymous_client.get(path, headers={"authorization": sent} if sent else {})
    assert answer.status_code == status
    assert ("WWW-Authenticate" in answer) == (status == 401)


def test_the_token_opens_nothing_else(anonymous_client: Client, settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN
    assert anonymous_client.get("/", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 302


@pytest.mark.parametrize("path", PATHS)
def test_they_are_only_read(operator_client: Client, path: str) -> None:
    assert operator_client.post(path).status_code == 405


def test_health_counts_and_says_what_waits(victoria_metrics: str, viewer_client: Client) -> None:
    host = HostFactory.create(name="kvm1")
    HostFactory.create(state="unreachable")
    HostFactory.create(enabled=False)
    DomainFactory.create(host=host)
    DomainFactory.create(host=host, state="shut_off")
    JobFactory.create(domain=DomainFactory.create(host=host))
    write_tick(host, age_s=7)

    answer = viewer_client.get("/metrics")

    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    found = values(answer.content.decode())
    assert {found[f'vmdash_up{{part="{part}"}}'] for part in ("database", "redis", "history")} == {1}
    assert found['vmdash_hosts{state="up"}'] == found['vmdash_hosts{state="unreachable"}'] == 1
    assert found['vmdash_guests{state="running"}'] == 2
    assert found['vmdash_jobs{state="queued"}'] == 1
    assert found["vmdash_job_oldest_waiting_seconds"] >= 0
    assert found['vmdash_queue_length{queue="actions"}'] == 0
    assert 7 <= found['vmdash_host_figures_age_seconds{host="kvm1"}'] < 60
    assert found["vmdash_history_held_bytes"] == 0


def test_health_answers_while_the_store_is_away(viewer_client: Client, settings: Settings) -> None:
    settings.TSDB_URL = f"http://127.0.0.1:{free_port()}"
    found = values(viewer_client.get("/metrics").content.decode())
    assert found['vmdash_up{part="history"}'] == 0
    assert found['vmdash_up{part="database"}'] == 1
    assert viewer_client.get("/metrics/fleet").status_code == 503


def test_counters_of_hosts_and_guests_have_the_exporters_names(victoria_metrics: str, viewer_client: Client) -> None:
    now = int(time.time())
    for name in ("six", "seven"):
        HostFactory.create(name=name)
        write(victoria_metrics, host_past(name, now - 60, now))
        write(victoria_metrics, guest_past(name, f"uuid-{name}", f"web-{name}", now - 60, now))

    def read() -> str:
        text: str = viewer_client.get("/metrics/fleet?host=six").content.decode()
        return text if "libvirt_domain_info_cpu_time_seconds_total" in text else ""

    text = poll(read, 20)
    assert "libvirt_domain_vcpu_delay_seconds_total{" in text
    assert "libvirt_up{" in text
    assert 'host="six"' in text
    assert "seven" not in text
    assert "coarse:" not in text
    assert len(values(text)) > 40
    assert "seven" in viewer_client.get("/metrics/fleet").content.decode()


def test_an_unknown_host_is_refused(viewer_client: Client) -> None:
    assert viewer_client.get("/metrics/fleet", {"host": 'x"} or {a="b'}).status_code == 400

"""The rules that come with vmdash, evaluated by a real vmalert on a real history store."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import orjson
import pytest
from django.utils import timezone
from pytest_django import Settings

from domains.models import Domain
from hosts.models import Credential, Host
from storage.models import Pool
from tests.certificates import Authority
from tests.factories import DomainFactory, HostFactory, JobFactory
from tests.polling import poll
from tests.services import Server, VictoriaMetrics, free_port
from vmdash.alerts import intake
from vmdash.alerts.models import Alert
from vmdash.jobs.models import Job
from vmdash.main import gauges

RULES = Path(__file__).parent.parent.parent / "vmdash/alerts/rules/vmdash.yml"


def test_vmalert_understands_them() -> None:
    subprocess.run(["vmalert", "-dryRun", f"-rule={RULES}"], check=True, capture_output=True)


class VmAlert(Server):
    """Evaluates every second, without waiting as long as the rules say; what it tells is in `told`."""

    def __init__(self, store: str, rules: Path) -> None:
        super().__init__("vmalert")
        self.told: list[list[object]] = []
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told.append(orjson.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._receiver = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._receiver.serve_forever, daemon=True).start()
        self._port = free_port()
        self._start(
            "vmalert", f"-datasource.url={store}", f"-rule={rules}", "-evaluationInterval=1s",
            f"-notifier.url=http://127.0.0.1:{self._receiver.server_port}", f"-httpListenAddr=127.0.0.1:{self._port}",
        )  # fmt: skip
        self._wait()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self._port}/health").is_success
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        super().stop()
        self._receiver.shutdown()
        self._receiver.server_close()


@pytest.fixture
def store(settings: Settings) -> Iterator[str]:
    """A history store that knows nothing of other tests' guests."""
    server = VictoriaMetrics(free_port())
    settings.TSDB_URL = settings.TSDB_WRITE_URL = server.url
    yield server.url
    server.stop()


@pytest.fixture
def vmalert(store: str, tmp_path: Path) -> Iterator[VmAlert]:
    rules = tmp_path / "rules.yml"
    lines = RULES.read_text().splitlines()
    rules.write_text("\n".join(line for line in lines if not line.strip().startswith("for:")))
    server = VmAlert(store, rules)
    yield server
    server.stop()


def trouble() -> dict[str, str]:
    """Everything that rules are about goes wrong at once. Returns the summary that each rule is to give."""
    certificate, _ = Authority().issue("vmdash", days=3)
    credential = Credential.objects.create(name="c", kind="tls", certificate=certificate)
    HostFactory.create(name="kvm9", state=Host.State.UNREACHABLE, credential=credential)
    up = HostFactory.create(name="kvm8")
    guest = DomainFactory.create(host=up, name="twice", split_brain=True)
    Pool.objects.create(
        host=up, uuid=guest.pk, name="default", type="dir", state="running", capacity_bytes=100, available_bytes=4,
        seen_at=timezone.now(),
    )  # fmt: skip
    JobFactory.create(state="failed", label="Move web1 to kvm9", finished_at=timezone.now())
    return {
        "HostUnreachable": "kvm9 does not answer",
        "SplitBrain": "twice is active on two hosts at once",
        "PoolFull": "Pool default on kvm8 is 96% full",
        "JobFailed": "Move web1 to kvm9 failed",
        "GuestLosesTime": "twice loses 30 % of its CPU time",
        "MemoryPressure": "kvm8 has 98% of its memory in use",
    }


def counters(guest: Domain) -> str:
    """Two minutes in which the guest lost 30 % of its time, on a host that has hardly any memory left."""
    now = int(time.time())
    lines = []
    for at in range(now - 120, now + 1, 10):
        labels = f'host="kvm8",domain="twice",uuid="{guest.pk}",vcpu="0"'
        lines.append(f"libvirt_domain_vcpu_delay_seconds_total{{{labels}}} {0.3 * (at - now + 120):.2f} {at * 1000}")
    for kind, value in (("total", 100), ("free", 1), ("buffers", 0), ("cached", 1)):
        lines.append(f'libvirt_node_memory_{kind}_bytes{{host="kvm8"}} {value} {now * 1000}')
    return "\n".join(lines) + "\n"


@pytest.mark.django_db
def test_each_rule_finds_what_it_is_for(vmalert: VmAlert, store: str) -> None:
    expected = trouble()
    content = counters(Domain.objects.get(name="twice"))
    httpx.post(f"{store}/api/v1/import/prometheus", content=content).raise_for_status()

    def found() -> dict[str, str]:
        gauges.write()
        while vmalert.told:
            intake.take(vmalert.told.pop(0))
        return dict(Alert.objects.values_list("rule", "summary"))

    poll(lambda: len(found()) > len(expected), 60, "every rule to find something")
    summaries = found()
    assert summaries.pop("CertificateExpires").startswith("Our certificate for kvm9 expires in 2d")
    assert summaries == expected
    job = Job.objects.get()
    failed = Alert.objects.get(rule="JobFailed")
    assert (failed.job, str(failed.domain)) == (job.pk, job.target_id)
    assert str(Alert.objects.filter(rule="GuestLosesTime")[0].domain) == str(Domain.objects.get(name="twice").pk)

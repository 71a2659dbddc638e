"""A collector and a simulated host, as `bench.collector` uses them by the thousand."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator

import pytest

from bench.simulator.fleet import address
from domains.models import Domain
from hosts.models import Host
from storage.models import Volume
from tests.collector.process import ROOT, CollectorProcess
from tests.collector.waiting import add_row, wait_until
from tests.polling import poll
from tests.services import Server, free_port
from vmdash.live.cache import ticks

pytestmark = pytest.mark.django_db(transaction=True)
GUESTS = 10


class SimulatedHosts(Server):
    """Two hosts with ten guests each; the second one is there to hang."""

    def __init__(self) -> None:
        super().__init__("simulator")
        self.port = free_port(address(1))
        simulator = (sys.executable, "-m", "bench.simulator", "--port", str(self.port), "--changes", "4")
        fleet = ("--hosts", "2", "--guests", str(GUESTS), "--hung", "0.5")
        self._start("env", f"PYTHONPATH={ROOT}", *simulator, *fleet)
        self._wait()

    def _answers(self) -> bool:
        return "2 simulated hosts" in (self.directory / "log").read_text()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@pytest.fixture
def simulated() -> Iterator[SimulatedHosts]:
    hosts = SimulatedHosts()
    yield hosts
    hosts.stop()


def add(simulated: SimulatedHosts, number: int) -> Host:
    where = {"driver": "qemu", "path": "/system", "address": address(number), "port": simulated.port}
    return add_row(name=f"sim{number}", **where)


def test_simulated_hosts_are_seen_as_real_ones_are(
    simulated: SimulatedHosts, start_collector: Callable[..., CollectorProcess]
) -> None:
    first, second = add(simulated, 1), add(simulated, 2)
    collector = start_collector()

    wait_until(first, Host.State.UP)
    poll(lambda: Domain.objects.present().filter(host=first).exclude(xml="").count() == GUESTS, 15, "its guests")
    poll(lambda: Volume.objects.filter(pool__host=first).count() >= GUESTS, 15, "its volumes")
    first.refresh_from_db()
    assert (first.cpus, len(first.cells), [pool["name"] for pool in first.pools]) == (64, 2, ["default"])
    poll(lambda: _has_figures(first), 15, "a tick with all figures of all guests")
    poll(lambda: Domain.objects.filter(host=first, state="paused").exists(), 15, "a guest to be paused")

    simulated.signal(signal.SIGUSR1)
    wait_until(second, Host.State.UNREACHABLE)
    simulated.signal(signal.SIGUSR2)
    wait_until(second, Host.State.UP)
    first.refresh_from_db()
    assert first.state == Host.State.UP
    assert "Traceback" not in collector.log


def _has_figures(host: Host) -> bool:
    tick = ticks([host.pk]).get(host.pk)
    if not tick or tick["sample"]["cpu"] is None or tick["sample"]["mem"] is None:
        return False
    running = [guest for guest in tick["guests"].values() if guest["cpu"] is not None]
    return len(running) > GUESTS / 2 and all(guest["rd"] is not None for guest in running)

"""History is written to one address and read from another: a relay before the store, here vmagent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest
from django.test import Client
from pytest_django import Settings

from tests.polling import poll, poll_async
from tests.services import Server, free_port
from vmdash.metrics import exposition
from vmdash.metrics.query import labelled_at
from vmdash.metrics.writer import HistoryWriter


class VmAgent(Server):
    """Passes on to a store, with a label of its own, what is written to `url`."""

    def __init__(self, store: str) -> None:
        super().__init__("vmagent")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._start(
            "vmagent", f"-httpListenAddr=127.0.0.1:{port}", f"-remoteWrite.url={store}/api/v1/write",
            "-remoteWrite.label=came=through-vmagent", f"-remoteWrite.tmpDataPath={self.directory / 'data'}",
            "-remoteWrite.flushInterval=100ms",
        )  # fmt: skip
        self._wait()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health").is_success
        except httpx.TransportError:
            return False


@pytest.fixture
def relay(victoria_metrics: str, settings: Settings) -> Iterator[VmAgent]:
    server = VmAgent(victoria_metrics)
    settings.TSDB_WRITE_URL = server.url
    yield server
    server.stop()


def came(series: str) -> list[str]:
    """How what the store has of it came there."""
    return [found.get("came", "") for _, found, _ in labelled_at({"it": series}, int(time.time()))]


async def test_what_collectors_measure_goes_through_the_relay_and_is_read_from_the_store(relay: VmAgent) -> None:
    writer = HistoryWriter()
    writer.node("relayed1", int(time.time() * 1000), None, None)
    task = asyncio.create_task(writer.run())
    try:
        found = await poll_async(lambda: asyncio.to_thread(came, 'libvirt_up{host="relayed1"}'), 20, "it to arrive")
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert found == ["through-vmagent"]


def test_single_figures_do_so_too(relay: VmAgent) -> None:
    exposition.store([exposition.line("vmdash_host_up", {"host": "relayed2"}, 1, int(time.time() * 1000))])
    assert poll(lambda: came('vmdash_host_up{host="relayed2"}'), 20, "it to arrive") == ["through-vmagent"]


@pytest.mark.django_db
def test_health_tells_reading_and_writing_apart(relay: VmAgent, viewer_client: Client) -> None:
    def told() -> list[str]:
        lines = viewer_client.get("/metrics").content.decode().splitlines()
        return [line for line in lines if line.startswith('vmdash_up{part="history')]

    assert told() == ['vmdash_up{part="history"} 1', 'vmdash_up{part="history_writes"} 1']
    relay.halt()
    assert told() == ['vmdash_up{part="history"} 1', 'vmdash_up{part="history_writes"} 0']


@pytest.mark.django_db
def test_with_one_address_health_has_one_line(victoria_metrics: str, viewer_client: Client) -> None:
    assert 'part="history_writes"' not in viewer_client.get("/metrics").content.decode()

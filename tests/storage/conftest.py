"""The transfer gateway as a process, and people who use it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client

from tests.services import Server
from tests.worker import ROOT


class Gateway(Server):
    """`manage.py transfer_gateway`. `kill()` ends it as the kernel would."""

    def __init__(self) -> None:
        super().__init__("transfer-gateway")
        self.url = "http://{}:{}".format(*settings.TRANSFER_LISTEN)
        self.begin()

    def begin(self) -> None:
        self._start(sys.executable, str(ROOT / "manage.py"), "transfer_gateway")
        self._wait(deadline_s=30)

    def _answers(self) -> bool:
        import httpx

        try:
            return httpx.get(self.url).status_code == 404
        except httpx.HTTPError:
            return False

    @property
    def rss_bytes(self) -> int:
        assert self._process is not None
        from pathlib import Path

        line = next(
            line
            for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
            if line.startswith("VmRSS")
        )
        return int(line.split()[1]) * 1024


@pytest.fixture(scope="module")
def gateway(django_db_setup: None) -> Iterator[Gateway]:
    server = Gateway()
    yield server
    server.stop()


@pytest.fixture
def cookie(operator_client: Client) -> dict[str, str]:
    """What the operator's browser sends along."""
    return {settings.SESSION_COOKIE_NAME: operator_client.cookies[settings.SESSION_COOKIE_NAME].value}

"""A real Celery worker for tests: a process of its own on the tests' database and Redis."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.services import Server
from vmdash.celery import app

ROOT = Path(__file__).parent.parent


class Worker(Server):
    """Serves both queues. `kill()` ends it as the kernel would when memory is short."""

    def __init__(self) -> None:
        super().__init__("worker")
        self.name = f"test-{self.directory.name}@localhost"
        self._start(
            sys.executable, "-m", "celery", "--workdir", str(ROOT), "--app", "vmdash.celery", "worker",
            "--queues", "actions,jobs", "--hostname", self.name, "--pool", "threads", "--concurrency", "8",
            "--without-gossip", "--without-mingle",
        )  # fmt: skip
        self._wait(deadline_s=60)

    def _answers(self) -> bool:
        return bool(app.control.ping(destination=[self.name], timeout=1))

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

"""A real Celery worker for tests: a process of its own on the tests' database and Redis."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.services import Server
from vmdash.celery import app

ROOT = Path(__file__).parent.parent


class Worker(Server):
    """Serves both queues, unless told otherwise. `kill()` ends it as the kernel would when memory is short."""

    def __init__(self, queues: str = "actions,jobs", concurrency: int = 8) -> None:
        super().__init__("worker")
        self.name = f"test-{self.directory.name}@localhost"
        self._start(
            sys.executable, "-m", "celery", "--workdir", str(ROOT), "--app", "vmdash.celery", "worker",
            "--queues", queues, "--hostname", self.name, "--pool", "threads", "--concurrency", str(concurrency),
            "--without-gossip", "--without-mingle",
        )  # fmt: skip
        self._wait(deadline_s=60)

    def _answers(self) -> bool:
        return bool(app.control.ping(destination=[self.name], timeout=1))

    def take_up(self, *queues: str) -> None:
        """Serve these queues too, from now on."""
        for queue in queues:
            app.control.add_consumer(queue, destination=[self.name], reply=True, timeout=5)

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

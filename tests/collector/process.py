"""A collector for tests: a process of its own on the tests' database and Redis."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.polling import poll
from tests.services import Server

ROOT = Path(__file__).parent.parent.parent
QUICK = {"FAST_INTERVAL_S": 1, "SLOW_INTERVAL_S": 2, "SWEEP_INTERVAL_S": 3, "CALL_DEADLINE_S": 2, "LEASE_S": 3}


class CollectorProcess(Server):
    """`settings` are `VMDASH_…` variables by the rest of their name; `QUICK` ones keep tests short."""

    def __init__(self, **settings: int) -> None:
        super().__init__("collector")
        variables = [f"VMDASH_{name}={value}" for name, value in {**QUICK, **settings}.items()]
        self._start("env", *variables, sys.executable, ROOT / "manage.py", "collect")
        poll(lambda: self.has_ended() or self._answers(), 60, "the collector to start")  # Python alone takes a while
        if self.has_ended():
            raise RuntimeError(f"The collector did not start: {self.log}")

    def _answers(self) -> bool:
        return " starts" in self.log

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def terminate(self) -> int:
        """Ask it to end, and wait until it has. Returns its status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.status(20)

    def status(self, deadline_s: float) -> int:
        """Wait until it has ended by itself."""
        assert self._process is not None
        return self._process.wait(timeout=deadline_s)

    def stop(self) -> None:
        if self.has_ended():
            self._process = None
        super().stop()

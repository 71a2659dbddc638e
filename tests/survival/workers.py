"""Workers that are killed, and others that stand by: a new one takes seconds to start."""

from __future__ import annotations

from contextlib import suppress

import redis
from kombu.exceptions import OperationalError

from tests.polling import poll
from tests.worker import Worker

STANDBY = "standby"


def _answers(worker: Worker) -> bool:
    with suppress(OperationalError, redis.RedisError):  # our own connections have not noticed yet
        return worker._answers()
    return False


class Crew:
    """One worker is on duty. The next one is started beside it, and gets nothing to do until then."""

    def __init__(self) -> None:
        self._next: Worker | None = None
        self._on_duty: Worker | None = None

    def on_duty(self) -> Worker:
        if self._on_duty is None:
            self._on_duty = self._take_next()
        return self._on_duty

    def stand_by(self) -> None:
        """Have another one ready."""
        if self._next is None:
            self._next = Worker(queues=STANDBY, concurrency=32)

    def _take_next(self) -> Worker:
        self.stand_by()
        assert self._next is not None
        worker, self._next = self._next, None
        worker.take_up("actions", "jobs")
        return worker

    def kill(self) -> None:
        """SIGKILL to the one on duty."""
        self.on_duty().kill()

    def relieve(self) -> None:
        """Another one takes over from one that was killed."""
        assert self._on_duty is not None
        self._on_duty.stop()
        self._on_duty = self._take_next()

    def begin_again(self) -> None:
        """After Redis was away: it takes up again only what it was started for."""
        worker = self.on_duty()
        try:
            poll(lambda: _answers(worker), 30, "the worker to find Redis again")
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it says: {worker.log[-4000:]}") from error
        worker.take_up("actions", "jobs")

    def stop(self) -> None:
        for worker in (self._next, self._on_duty):
            if worker is not None:
                worker.stop()

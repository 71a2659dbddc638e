"""Starting, watching and stopping the processes of vmdash on one machine.

honcho's own manager ends everything when one process ends; a dashboard has to go on. Hence this one, which starts
what ended again, and stops in an order that lets each process finish its work.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from vmdash.exceptions import VmdashError

READY_DEADLINE_S = 60
FAILURES_AT_START = 3
"""A process that ends this often before it was ever ready will not become ready by itself."""
FIRST_PAUSE_S = 1
LONGEST_PAUSE_S = 30
STOP_DEADLINE_S = 10
"""Whoever has not ended by then after SIGTERM is killed. Jobs that are cut short are recovered at the next start."""

T = TypeVar("T")
Say = Callable[[str, str], None]
"""Shows one line of a process: `say(process, line)`."""


class ProcessFailed(VmdashError):
    """A process could not be brought to work."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process to keep running.

    `command` goes to the shell and should begin with `exec`. `is_ready` tells whether the process does its work; it
    may block for a second. What is `basic` starts first and stops last, since the others need it.
    """

    name: str
    command: str
    is_ready: Callable[[], bool]
    basic: bool = False


class Supervisor:
    """Runs `programs` in `directory` with `environment` as their whole environment."""

    def __init__(
        self, programs: Sequence[Program], *, directory: Path, environment: Mapping[str, str], say: Say
    ) -> None:
        keepers = [_Keeper(program, directory, environment, say) for program in programs]
        self._stages = [[keeper for keeper in keepers if keeper.program.basic is basic] for basic in (True, False)]
        self._end: asyncio.Future[None]

    async def run(self, when_ready: Callable[[], Awaitable[None]]) -> None:
        """Start everything, await `when_ready`, and return after SIGINT or SIGTERM when everything has stopped.

        Raises ProcessFailed, or what `when_ready` raised, after stopping everything too.
        """
        loop = asyncio.get_running_loop()
        self._end = loop.create_future()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._ask_to_end)
        try:
            for stage in self._stages:
                await self._unless_ended(asyncio.gather(*(keeper.start(self._fail) for keeper in stage)))
            await self._unless_ended(asyncio.ensure_future(when_ready()))
            await self._end
        except asyncio.CancelledError:
            if not self._end.cancelled():
                raise
        finally:
            for stage in reversed(self._stages):
                await asyncio.gather(*(keeper.stop() for keeper in stage))

    def _ask_to_end(self) -> None:
        if not self._end.done():
            self._end.cancel()

    def _fail(self, error: ProcessFailed) -> None:
        if not self._end.done():
            self._end.set_exception(error)

    async def _unless_ended(self, work: asyncio.Future[T]) -> None:
        """Await `work`, or leave it and raise when the end comes first."""
        both: set[asyncio.Future[Any]] = {work, self._end}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if self._end.done():
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
            await self._end
        await work


class _Keeper:
    """Keeps one program running."""

    def __init__(self, program: Program, directory: Path, environment: Mapping[str, str], say: Say) -> None:
        self.program = program
        self._directory = directory
        self._environment = environment
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._copying: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._was_ready = False

    async def start(self, fail: Callable[[ProcessFailed], None]) -> None:
        """Start it, and return when it is ready. `fail` is called when it never will be."""
        self._keeping = asyncio.create_task(self._keep(fail))
        deadline = asyncio.get_running_loop().time() + READY_DEADLINE_S
        while not await asyncio.to_thread(self.program.is_ready):
            if asyncio.get_running_loop().time() > deadline:
                raise ProcessFailed(
                    f"{self.program.name} was not ready within {READY_DEADLINE_S} s.",
                    hint="See what it wrote above.",
                )
            await asyncio.sleep(0.1)
        self._was_ready = True

    async def stop(self) -> None:
        """End it and every process that it started."""
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), STOP_DEADLINE_S)
        await self._clear(self._process)

    async def _clear(self, process: asyncio.subprocess.Process) -> None:
        """Kill what is left of the process and its children, and show its last words."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        self._process = None
        if self._copying is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._copying, 1)

    async def _keep(self, fail: Callable[[ProcessFailed], None]) -> None:
        loop = asyncio.get_running_loop()
        failures, pause_s = 0, FIRST_PAUSE_S
        while True:
            began = loop.time()
            self._process = await self._spawn()
            code = await self._process.wait()
            await self._clear(self._process)
            failures += 1
            if not self._was_ready and failures == FAILURES_AT_START:
                fail(
                    ProcessFailed(
                        f"{self.program.name} ended {failures} times before it was ready.",
                        hint="See what it wrote above.",
                    )
                )
                return
            if loop.time() - began > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            how = f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
            self._say(self.program.name, f"It ended {how}. It is started again in {pause_s} s.")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _spawn(self) -> asyncio.subprocess.Process:
        # Not asyncio's own pipe: with that, `wait()` would also wait for every child that holds the other end.
        read_end, write_end = os.pipe()
        self._copying = asyncio.create_task(self._copy_output(read_end))
        try:
            # A session of its own keeps the terminal's Ctrl-C away from it and makes its children findable; setpriv
            # ends it when this process is killed and cannot.
            return await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "TERM", "sh", "-c", self.program.command),
                cwd=self._directory,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                start_new_session=True,
            )
        finally:
            os.close(write_end)

    async def _copy_output(self, read_end: int) -> None:
        lines = asyncio.StreamReader(limit=1 << 20)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(read_end, "rb", buffering=0)
        )
        try:
            async for line in lines:
                self._say(self.program.name, line.decode(errors="replace").rstrip())
        finally:
            transport.close()

"""Processes known by a record in a file, so that they can be ended later, by somebody else, and never by mistake."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmdash.lab.commands import LabError

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_RECORD = Path(__file__).parent / "record"


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """A process by number, start time (clock ticks after boot, field 22 of /proc/PID/stat) and boot.

    A number alone may belong to another process by now; all three together never do.
    """

    pid: int
    start_time: str
    boot_id: str

    @classmethod
    def read(cls, file: Path) -> ProcessRecord | None:
        """The record in `file` (one line: pid, start time, boot), or None when there is none."""
        try:
            pid, start_time, boot_id = file.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return cls(int(pid), start_time, boot_id)

    def is_alive(self) -> bool:
        return self.boot_id == _BOOT_ID.read_text().strip() and _start_time(self.pid) == self.start_time

    def kill(self, *, deadline_s: float = 20) -> None:
        """Kill the process if it is still the one that was recorded, and wait until it is gone."""
        if not self.is_alive():
            return
        os.kill(self.pid, signal.SIGKILL)
        wait_until(lambda: not self.is_alive(), f"process {self.pid} to end", deadline_s=deadline_s)


def living(file: Path) -> ProcessRecord | None:
    """The process that `file` records, if it is alive."""
    record = ProcessRecord.read(file)
    return record if record and record.is_alive() else None


def spawn(
    command: Sequence[str | Path],
    *,
    record: Path,
    log: Path,
    namespaces: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> None:
    """Start `command` so that it outlives this process, recorded in the file `record`, its output in `log`.

    `namespaces` is an `unshare` command to start it with; the record holds its number outside of them.
    """
    record.unlink(missing_ok=True)
    with log.open("w") as output:
        # setsid --fork: it gets another parent, which collects it when it ends.
        subprocess.run(
            ["setsid", "--fork", *namespaces, _RECORD, record, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=environment,
            check=True,
        )
    try:
        wait_until(record.exists, f"{command[0]} to start", deadline_s=10)
    except LabError as error:
        raise LabError(error.message, detail=log.read_text()) from error


def wait_until(condition: Callable[[], bool], what: str, *, deadline_s: float) -> None:
    """Poll until `condition` holds; raises LabError, naming `what` was waited for, after `deadline_s`."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"Waited {deadline_s:.0f} s in vain for {what}.")
        time.sleep(0.02)


def _start_time(pid: int) -> str | None:
    """Field 22 of /proc/PID/stat, or None when the process is gone or is a zombie."""
    try:
        # The second field, the name in brackets, may hold spaces.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]

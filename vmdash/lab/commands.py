"""Running other programs, with errors a person can act on."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from vmdash.exceptions import VmdashError


class LabError(VmdashError):
    """The practice fleet could not be brought up, changed or taken down."""


def run(
    command: Sequence[str | Path], *, cwd: Path | None = None, stdin: str | None = None, timeout_s: float = 120
) -> str:
    """Run `command` to its end and return what it wrote to standard output.

    Raises LabError with the command and its error output when it cannot start, fails, or takes too long.
    """
    line = " ".join(str(part) for part in command)
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            input=stdin,
            timeout=timeout_s,
            capture_output=True,
            text=True,
            errors="replace",
            process_group=0,  # a Ctrl-C meant for this program shall not end its clean-up half-way
        )
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed.", hint="Run make to install what is missing.") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"No answer within {timeout_s:.0f} s from: {line}") from None
    if done.returncode:
        raise LabError(f"This command failed: {line}", detail=done.stderr.strip() or done.stdout.strip())
    return done.stdout

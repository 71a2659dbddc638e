"""Trying a host, once, within a deadline: a probe first, which has a word for everything, then libvirt itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.conf import settings

from hosts import connect
from hosts.addresses import check_reachable
from hosts.models import Host
from hosts.report import Report, report_of
from vmdash.exceptions import Unavailable, VmdashError
from vmdash.virt.errors import HostHung
from vmdash.virt.probe import ProbeResult, probe

if TYPE_CHECKING:
    from hosts.reach import Request

T = TypeVar("T")

DEADLINE_S = 9
"""People wait for this one: the worker adds its own bit, and within 10 s they have an answer."""

PROBE_S = 5
PROGRAM = ("-m", "hosts.reach")


def try_host(host: Host) -> Report:
    """What is found out about the host, within `DEADLINE_S` whatever it does. Nothing of the attempt is left then."""
    end = time.monotonic() + DEADLINE_S
    settings.RUNTIME_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="test-", dir=settings.RUNTIME_DIR, ignore_cleanup_errors=True) as folder:
        try:
            result = _run(_probe(host, Path(folder)))
            report = _open(host, folder, timeout_s=end - time.monotonic())
        except VmdashError as error:
            return report_of(error)
    return {**report, "latency_ms": round(result.latency_s * 1000, 1)}


async def _probe(host: Host, folder: Path) -> ProbeResult:
    """Raises HostError, and InvalidInput for a name that leads where no host can be."""
    return await probe(
        connect.endpoint(host),
        connect.credentials(host),
        runtime_dir=folder,
        name=host.name,
        timeout_s=PROBE_S,
        check_address=check_reachable,
    )


def _run(probing: Coroutine[Any, Any, T]) -> T:
    """Like `asyncio.run`, which however waits for a name service that does not answer."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(probing)
    finally:
        loop.close()


def _open(host: Host, folder: str, *, timeout_s: float) -> Report:
    """What `hosts.reach` reports. Raises HostHung when it does not in time; it is gone then."""
    request: Request = {
        "name": host.name,
        "endpoint": asdict(connect.endpoint(host)),
        "credentials": asdict(connect.credentials(host)),
        "runtime_dir": folder,
    }
    # A session of its own, so that an ssh that libvirt started ends with it.
    child = subprocess.Popen(
        [sys.executable, *PROGRAM],
        cwd=settings.BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, complaint = child.communicate(json.dumps(request), timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise HostHung.because(f"connect to {host.name}", detail=f"libvirt did not answer in {DEADLINE_S} s.") from None
    finally:
        _end(child)
    if child.returncode:
        raise Unavailable(f"The test of {host.name} could not be run.", detail=complaint[-4000:])
    return cast(Report, json.loads(output))


def _end(child: subprocess.Popen[str]) -> None:
    """End the process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()

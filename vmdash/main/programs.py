"""What `manage.py run` starts: the Procfile, with its variables, and when each process counts as ready."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import redis
from django.conf import settings
from honcho.environ import parse_procfile

from vmdash.celery import app
from vmdash.exceptions import Unavailable
from vmdash.live.redis import client
from vmdash.main.supervisor import Program

REDIS, HISTORY = "redis", "history"


def embedded() -> set[str]:
    """The names of the servers that are started here, and not used from elsewhere."""
    return {name for name, here in ((REDIS, settings.EMBEDDED_REDIS), (HISTORY, settings.EMBEDDED_TSDB)) if here}


def commands() -> dict[str, str]:
    """What the Procfile says, by the names of its processes."""
    found: dict[str, str] = parse_procfile((settings.BASE_DIR / "Procfile").read_text()).processes
    return found


def left_out() -> set[str]:
    """The names of the servers that are used from elsewhere, and not started here."""
    return {REDIS, HISTORY} - embedded()


def programs() -> list[Program]:
    """Every process to start, in the order of the Procfile."""
    return [
        Program(name, command, is_ready=_READY.get(name, lambda: True), basic=name in {REDIS, HISTORY})
        for name, command in commands().items()
        if name not in left_out()
    ]


def environment(*, as_root: bool = False) -> dict[str, str]:
    """The environment of the processes: ours, the Procfile's variables, and this Python first in the path.

    `as_root`: it is meant to be so, and the workers need not warn of it.
    """
    address, port = settings.WEB_LISTEN
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        **({"PYTHONWARNINGS": "ignore:You're running the worker"} if as_root else {}),
        "DATA_DIR": str(settings.DATA_DIR),
        "TSDB_PORT": str(settings.TSDB_PORT),
        "TSDB_URL": settings.TSDB_URL,
        "TSDB_WRITE_URL": settings.TSDB_WRITE_URL,
        "ALERTS_URL": f"http://{_reachable(address)}:{port}/alerts/receive",
        "ALERT_RULES": str(settings.BASE_DIR / "vmdash/alerts/rules/*.yml"),
        "OWN_ALERT_RULES": settings.ALERT_RULES,
        "ALERT_PORT": str(settings.ALERT_PORT),
        "ALERT_INTERVAL_S": str(settings.ALERT_INTERVAL_S),
        "WEB_ADDRESS": address,
        "WEB_PORT": str(port),
        "WEB_PROCESSES": str(settings.WEB_PROCESSES),
    }


def check_addresses() -> None:
    """Raises Unavailable when somebody else listens where a process wants to, or Redis elsewhere is away."""
    here = embedded()
    wanted = {
        "VMDASH_WEB_LISTEN": settings.WEB_LISTEN,
        "VMDASH_CONSOLE_LISTEN": settings.CONSOLE_LISTEN,
        "VMDASH_TRANSFER_LISTEN": settings.TRANSFER_LISTEN,
    }
    if REDIS in here:
        wanted["VMDASH_REDIS_PORT"] = ("127.0.0.1", settings.REDIS_PORT)
    elif not _redis_answers():
        raise Unavailable("The Redis that REDIS_URL names does not answer.", hint="Start it, or correct REDIS_URL.")
    if HISTORY in here:
        wanted["VMDASH_TSDB_PORT"] = ("127.0.0.1", settings.TSDB_PORT)
    wanted["VMDASH_ALERT_PORT"] = ("127.0.0.1", settings.ALERT_PORT)
    for setting, (address, port) in wanted.items():
        try:
            _try_to_listen(address, port)
        except OSError as error:
            raise Unavailable(
                f"Nothing can listen on {address} port {port}: {error.strerror}.",
                hint=f"End what uses it, or set {setting} to another.",
            ) from error


def _try_to_listen(address: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()


def _redis_answers() -> bool:
    try:
        return bool(client().ping())
    except redis.RedisError:
        return False


def _history_answers() -> bool:
    try:
        return httpx.get(f"{settings.TSDB_URL}/health", timeout=2).is_success
    except httpx.HTTPError:
        return False


def _reachable(address: str) -> str:
    """The host of a URL under which a process of this machine reaches who listens on `address`."""
    found = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
    return f"[{found}]" if ":" in found else found


def _listens(listen: tuple[str, int]) -> bool:
    address, port = listen
    try:
        socket.create_connection((_reachable(address).strip("[]"), port), timeout=1).close()
    except OSError:
        return False
    return True


def _worker_answers(queue: str) -> bool:
    return bool(app.control.ping(destination=[f"{queue}@{socket.gethostname()}"], timeout=1, limit=1))


_READY: dict[str, Callable[[], bool]] = {
    REDIS: _redis_answers,
    HISTORY: _history_answers,
    "web": lambda: _listens(settings.WEB_LISTEN),
    "alerts": lambda: _listens(("127.0.0.1", settings.ALERT_PORT)),
    "console": lambda: _listens(settings.CONSOLE_LISTEN),
    "transfer": lambda: _listens(settings.TRANSFER_LISTEN),
    "actions": lambda: _worker_answers("actions"),
    "jobs": lambda: _worker_answers("jobs"),
}

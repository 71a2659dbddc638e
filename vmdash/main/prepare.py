"""What has to be in place before the processes start: folders, the database's tables, files for browsers."""

from __future__ import annotations

import fcntl
import hashlib
import os
import string
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command

from vmdash import env
from vmdash.exceptions import Conflict


@contextmanager
def data_directory() -> Iterator[None]:
    """Make the data directory if need be, and hold it: two sets of processes would spoil each other's files.

    Raises Conflict when another `manage.py run` holds it.
    """
    env.private_directory(settings.DATA_DIR)
    with (settings.DATA_DIR / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"vmdash already runs with the data in {settings.DATA_DIR}.",
                hint="Stop it first, or set VMDASH_DATA_DIR to another directory.",
            ) from None
        yield


def prepare() -> None:
    """Bring the database and the collected static files up to date. Takes a second when they are."""
    write_redis_config()
    _write_alert_token()
    call_command("migrate", interactive=False, verbosity=0)
    _collect_static_files()


def write_redis_config() -> None:
    """The configuration of the private Redis. A file, since everybody may read a process's arguments.

    It is the broker: what is queued must survive a restart (appendonly), and nothing may be thrown away (noeviction).
    """
    directory = settings.DATA_DIR / "redis"
    directory.mkdir(mode=0o700, exist_ok=True)
    file = directory / "redis.conf"
    file.touch(mode=0o600)
    file.write_text(
        "bind 127.0.0.1\n"
        f"port {settings.REDIS_PORT}\n"
        f"requirepass {_quoted(settings.REDIS_PASSWORD)}\n"
        f'dir "{directory}"\n'
        "appendonly yes\n"
        'save ""\n'
        "maxmemory 512mb\n"
        "maxmemory-policy noeviction\n"
        "loglevel warning\n"
        f'logfile "{directory}/redis.log"\n'
    )


def _write_alert_token() -> None:
    """A file, since everybody may read a process's arguments."""
    file = settings.DATA_DIR / "alert-token"
    file.touch(mode=0o600)
    file.write_text(settings.ALERT_TOKEN)


def _quoted(text: str) -> str:
    """Any text as redis.conf takes it: in quotes, with bytes that could mean something as numbers."""
    plain = string.ascii_letters + string.digits + "-_"
    return '"' + "".join(chr(one) if chr(one) in plain else f"\\x{one:02x}" for one in text.encode()) + '"'


def _collect_static_files() -> None:
    """Collect them when one has changed since the last time; hashing and packing them takes a while."""
    stamp = settings.DATA_DIR / "static.stamp"
    fingerprint = _static_fingerprint()
    is_there = (settings.STATIC_ROOT / "staticfiles.json").exists()
    if is_there and stamp.exists() and stamp.read_text() == fingerprint:
        return
    mask = os.umask(0o022)  # a proxy that is another user's may serve them
    try:
        call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    finally:
        os.umask(mask)
    stamp.write_text(fingerprint)


def _static_fingerprint() -> str:
    """A hash over the names, sizes and times of all static files."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            stat = Path(storage.path(path)).stat()
            digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()

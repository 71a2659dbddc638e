"""What snapshots and their files are called."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import PurePosixPath

from django.conf import settings
from django.utils import timezone

MOST = 120
"""Characters of a name: files are called after it, and libvirt adds to that."""
_AWKWARD = re.compile(r"[^\w.+-]+")


def snapshot_name(guest: str, note: str, at: datetime) -> str:
    """By the convention of `VMDASH_SNAPSHOT_NAME`, in the site's time: "web1-20261124-181500-before-update".

    What is not fit for a file name becomes a dash.
    """
    local = timezone.localtime(at)
    name = settings.SNAPSHOT_NAME.format(
        guest=guest, date=local.strftime("%Y%m%d"), time=local.strftime("%H%M%S"), note=plain(note)[:40]
    )
    return plain(name)[:MOST].rstrip("-.")


def plain(text: str) -> str:
    """Letters, digits, and a few signs; the rest becomes a dash."""
    return _AWKWARD.sub("-", text).strip("-.")


def overlay_path(guest: str, snapshot: str, target: str, below: str) -> str:
    """The file on top of `below` (a path), in the same folder."""
    return _beside(below, f"{_stem(guest, snapshot)}-{target}.qcow2")


def fresh_path(guest: str, snapshot: str, target: str, below: str, at: datetime) -> str:
    """The file on top of `below` after a revert to that snapshot."""
    return _beside(below, f"{_stem(guest, snapshot)}-{target}-since-{timezone.localtime(at):%Y%m%d-%H%M%S}.qcow2")


def memory_path(guest: str, snapshot: str, beside: str) -> str:
    return _beside(beside, f"{_stem(guest, snapshot)}.mem")


def _stem(guest: str, snapshot: str) -> str:
    return snapshot if snapshot.startswith(plain(guest)) else f"{plain(guest)}-{snapshot}"


def _beside(path: str, name: str) -> str:
    return str(PurePosixPath(path).parent / name)

"""The files in deploy/, as tests use them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from vmdash.lab.layout import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
UNITS = DEPLOY / "systemd"
NAME = "vmdash.example.org"


def settings_of(file: Path) -> dict[str, str]:
    """An environment file as systemd reads it."""
    lines = (line.strip() for line in file.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


def production(changes: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process with the settings of deploy/vmdash.env, and `changes`."""
    strange = ("VMDASH_", "DATABASE_URL", "REDIS_URL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    return {**kept, **settings_of(DEPLOY / "vmdash.env"), **changes}

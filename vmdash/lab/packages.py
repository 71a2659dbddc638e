"""Which Debian packages the practice fleet needs, and which of them are missing."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

FOR_TEST_DRIVER = ("libvirt-clients", "libvirt-daemon")
"""What is enough without root."""

_LIST = Path(__file__).parent / "packages.txt"


def for_real_guests() -> tuple[str, ...]:
    """The packages in `packages.txt`, which the Makefile reads too."""
    lines = (line.strip() for line in _LIST.read_text().splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def missing(packages: Sequence[str]) -> tuple[str, ...]:
    """Those of `packages` that dpkg does not know as installed."""
    listing = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}\n", *packages],
        capture_output=True,  # dpkg-query fails and complains when it does not know a package, which is an answer too
        text=True,
        check=False,
    ).stdout
    installed = {line.split()[1] for line in listing.splitlines() if line.startswith("installed ")}
    return tuple(package for package in packages if package not in installed)

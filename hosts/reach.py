"""A program that opens one host, once: `python -m hosts.reach < REQUEST`; the report comes out as JSON.

It is a process of its own since libvirt calls cannot be cancelled, but a process can be ended. It needs neither
Django nor the database. `hosts.onboarding` runs it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypedDict

from hosts.report import Report, report_of
from vmdash.exceptions import VmdashError
from vmdash.virt.connection import HostConnection
from vmdash.virt.credentials import Credentials
from vmdash.virt.uri import Endpoint


class Request(TypedDict):
    """`endpoint` and `credentials` are the fields of the classes in `vmdash.virt`."""

    name: str
    endpoint: dict[str, Any]
    credentials: dict[str, str]
    runtime_dir: str


def reach(request: Request) -> Report:
    """Open the host read-only, and read its facts."""
    try:
        with HostConnection.open(
            Endpoint(**request["endpoint"]),
            Credentials(**request["credentials"]),
            runtime_dir=Path(request["runtime_dir"]),
            name=request["name"],
            read_only=True,
            keepalive=None,
        ) as connection:
            return Report(facts=asdict(connection.node.facts()))
    except VmdashError as error:
        return report_of(error)


if __name__ == "__main__":
    json.dump(reach(json.load(sys.stdin)), sys.stdout)

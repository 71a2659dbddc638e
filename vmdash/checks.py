"""Faults of the environment, found at each start (`manage.py check` shows them alone)."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register


@register()
def data_directory(app_configs: Sequence[AppConfig] | None = None, **_: Any) -> list[CheckMessage]:
    directory = settings.DATA_DIR
    if not directory.exists() or os.access(directory, os.W_OK | os.X_OK):
        return []
    return [
        Error(
            f"The data directory {directory} cannot be written to.",
            hint="Give it to the user that runs vmdash, or set VMDASH_DATA_DIR to another.",
            id="vmdash.E002",
        )
    ]


@register()
def intervals(app_configs: Sequence[AppConfig] | None = None, **_: Any) -> list[CheckMessage]:
    if settings.FAST_INTERVAL_S <= settings.SLOW_INTERVAL_S:
        return []
    return [
        Error(
            f"VMDASH_FAST_INTERVAL_S ({settings.FAST_INTERVAL_S}) is longer than VMDASH_SLOW_INTERVAL_S "
            f"({settings.SLOW_INTERVAL_S}).",
            hint="Make the fast interval the shorter one.",
            id="vmdash.E003",
        )
    ]


@register()
def plain_text_in_the_network(app_configs: Sequence[AppConfig] | None = None, **_: Any) -> list[CheckMessage]:
    address = settings.WEB_LISTEN[0]
    if settings.TLS or address == "localhost" or _is_loopback(address):
        return []
    return [
        Warning(
            f"Pages are served on {address} without TLS: passwords cross the network readable.",
            hint="Put a proxy with TLS in front, let vmdash listen on 127.0.0.1, and set VMDASH_TLS=yes.",
            id="vmdash.W001",
        )
    ]


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False

"""The columns of a file of hosts."""

from __future__ import annotations

from typing import Final

TEXT_COLUMNS: Final = (
    "name",
    "site",
    "description",
    "driver",
    "transport",
    "address",
    "port",
    "username",
    "path",
    "migration_uri",
    "fast_interval_s",
    "slow_interval_s",
    "known_host_key",
    "known_certificate",
)
COLUMNS: Final = (*TEXT_COLUMNS, "tags", "enabled", "credential")

CREDENTIAL_COLUMNS: Final = (
    "name",
    "kind",
    "username",
    "password",
    "private_key",
    "certificate",
    "ca_certificate",
)
"""Of a credential that stands within a host."""

FROM_FILES: Final = ("password", "private_key", "certificate", "ca_certificate", "known_certificate")
"""Columns that may be written with `_file` at their end, and then name a file that holds the value."""

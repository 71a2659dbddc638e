"""Exporting hosts: the columns that the import reads, credentials by their name alone, never a secret."""

from __future__ import annotations

import csv
import io
from typing import Any

import yaml

from hosts.models import Host
from hosts.portation.columns import COLUMNS, TEXT_COLUMNS


def export_yaml() -> str:
    """All hosts as a YAML list; empty values are left out."""
    hosts = [{name: value for name, value in entry.items() if value not in ("", [], None)} for entry in _entries()]
    return yaml.safe_dump(hosts, sort_keys=False, allow_unicode=True, width=100)


def export_csv() -> str:
    """All hosts as a table with one line of headings."""
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for entry in _entries():
        writer.writerow(entry | {"tags": " ".join(entry["tags"]), "enabled": "yes" if entry["enabled"] else "no"})
    return table.getvalue()


def _entries() -> list[dict[str, Any]]:
    found = Host.objects.select_related("site", "credential").prefetch_related("tags")
    return [
        {name: getattr(host, name) for name in TEXT_COLUMNS}
        | {
            "site": host.site.name if host.site else "",
            "tags": [tag.name for tag in host.tags.all()],
            "enabled": host.enabled,
            "credential": host.credential.name if host.credential else "",
        }
        for host in found
    ]

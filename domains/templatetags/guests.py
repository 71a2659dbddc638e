"""Guests in templates of other apps: `{% load guests %}`.

{% guests_of host tick as guests %}     one `HostGuest` for each guest of the host, by name
{% running_move job as move %}          a guest's move on its way, for the page of the job; None for other jobs
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import template

from domains.migration.page import running
from domains.models import Domain
from domains.rows import guest_rows
from vmdash.live.messages import GuestRow, GuestSample, Tick

if TYPE_CHECKING:
    from hosts.models import Host

register = template.Library()
register.simple_tag(running, name="running_move")


@dataclass(frozen=True, slots=True)
class HostGuest:
    """A guest in the table of its host; `sample` is None for one that does not run."""

    row: GuestRow
    sample: GuestSample | None

    @property
    def cpu(self) -> float | None:
        return self.sample["cpu"] if self.sample else None

    @property
    def steal(self) -> float | None:
        return self.sample["steal"] if self.sample else None

    @property
    def memory(self) -> float | None:
        """Memory used inside the guest, percent of what it has."""
        used = self.sample["mem"] if self.sample else None
        return 100 * used / self.row["memory_kib"] if used is not None and self.row["memory_kib"] else None


@register.simple_tag(takes_context=True)
def guests_of(context: dict[str, Any], host: Host, tick: Tick | None) -> list[HostGuest]:
    """The host's guests that the one who asks may see, with the figures in `tick`. Four queries."""
    found = Domain.objects.visible_to(context["request"].user).filter(host=host).order_by("name")
    samples = tick["guests"] if tick else {}
    return [HostGuest(row, samples.get(row["uuid"])) for row in guest_rows(found)]

"""A host's state as people see it: one icon, one tone, few words."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import TextChoices

from hosts.models import Host


class Shown(TextChoices):
    """What a host's page and the filter of the list know: the connection's states, and that nobody collects."""

    UP = "up", "connected"
    UNREACHABLE = "unreachable", "does not answer"
    REFUSED = "refused", "refuses the connection"
    NEW = "new", "connecting"
    DISABLED = "disabled", "disabled"


@dataclass(frozen=True, slots=True)
class Status:
    shown: Shown
    icon: str
    """A symbol of templates/components/icons.html."""
    tone: str
    """A class of static/css/components.css: ok, warn, bad, off or busy."""

    @property
    def words(self) -> str:
        return str(self.shown.label)


_STATUSES = {
    Shown.UP: Status(Shown.UP, "done", "ok"),
    Shown.UNREACHABLE: Status(Shown.UNREACHABLE, "crashed", "bad"),
    Shown.REFUSED: Status(Shown.REFUSED, "warning", "bad"),
    Shown.NEW: Status(Shown.NEW, "job", "busy"),
    Shown.DISABLED: Status(Shown.DISABLED, "off", "off"),
}


def status_of(host: Host) -> Status:
    return _STATUSES[Shown(host.state) if host.enabled else Shown.DISABLED]

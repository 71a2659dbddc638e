"""How bad something is."""

from __future__ import annotations

from django.db.models import TextChoices


class Severity(TextChoices):
    """From the worst on."""

    CRITICAL = "critical", "critical"
    WARNING = "warning", "warning"
    INFO = "info", "info"

    def is_at_least(self, least: str) -> bool:
        order = list(Severity)
        return order.index(self) <= order.index(Severity(least))

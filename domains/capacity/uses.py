"""What each guest needed in the last two weeks: worked out from recorded hours, and read for judging."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import CharField
from django.db.models.functions import Cast
from django.utils import timezone

from domains.capacity.findings import HOURS, Use
from domains.capacity.models import GuestUse
from domains.models import ACTIVE_STATES, Domain
from vmdash.metrics.hourly import TIMEOUT_S
from vmdash.metrics.query import values_at

if TYPE_CHECKING:
    from vmdash.access.models import User

_WINDOW = f"[{HOURS}h]"
_FIGURES = {
    "hours": f"count_over_time(guest:cpu_used:rate1h{_WINDOW})",
    "cpu_mean": f"avg_over_time(guest:cpu_used:rate1h{_WINDOW})",
    "cpu_busy": f"quantile_over_time(0.95, guest:cpu_used:rate1h{_WINDOW})",
    "cpu_peak": f"max_over_time(guest:cpu_used:max5m{_WINDOW})",
    "steal_mean": f"avg_over_time(guest:steal:rate1h{_WINDOW})",
    "steal_busy": f"quantile_over_time(0.95, guest:steal:rate1h{_WINDOW})",
    "memory_hours": f"count_over_time(guest:memory_used_bytes:max1h{_WINDOW})",
    "memory_peak_bytes": f"max_over_time(guest:memory_used_bytes:max1h{_WINDOW})",
    "swap_in_bytes_per_s": f"avg_over_time(guest:swap_in_bytes:rate1h{_WINDOW})",
}
_COLUMNS = ("made_at", *_FIGURES)


def work_out(until: datetime) -> None:
    """Raises Unavailable."""
    at_s, now = round(until.timestamp()), timezone.now()
    found = {name: values_at(expression, at_s, "uuid", timeout_s=TIMEOUT_S) for name, expression in _FIGURES.items()}
    known = [pk for pk in Domain.objects.present().order_by().values_list("pk", flat=True) if str(pk) in found["hours"]]
    rows = [_row(pk, {name: values.get(str(pk)) for name, values in found.items()}, now) for pk in known]
    GuestUse.objects.bulk_create(
        rows, batch_size=500, update_conflicts=True, unique_fields=["domain"], update_fields=list(_COLUMNS)
    )
    GuestUse.objects.filter(made_at__lt=now).delete()  # those of which nothing is known any more


def _row(pk: UUID, values: dict[str, float | None], now: datetime) -> GuestUse:
    peak = values["memory_peak_bytes"]
    return GuestUse(
        domain_id=pk,
        made_at=now,
        hours=round(values["hours"] or 0),
        cpu_mean=values["cpu_mean"] or 0.0,
        cpu_busy=values["cpu_busy"] or 0.0,
        cpu_peak=values["cpu_peak"] or values["cpu_busy"] or 0.0,
        steal_mean=values["steal_mean"] or 0.0,
        steal_busy=values["steal_busy"] or 0.0,
        memory_hours=round(values["memory_hours"] or 0),
        memory_peak_bytes=None if peak is None else max(0, round(peak)),
        swap_in_bytes_per_s=values["swap_in_bytes_per_s"],
    )


def uses_of(user: User) -> list[Use]:
    """Of the active guests that `user` may see and that were measured. One query."""
    guests = Domain.objects.visible_to(user).filter(state__in=ACTIVE_STATES, is_template=False)
    rows = guests.filter(use__isnull=False).order_by()
    names = [f"use__{name}" for name in _FIGURES]
    return [
        Use(*row)
        for row in rows.values_list(
            Cast("uuid", CharField()), "name", "host__name", "vcpus", "max_memory_kib", *names
        ).iterator(2000)
    ]

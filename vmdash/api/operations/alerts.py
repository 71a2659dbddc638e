"""Alerts, and what people say to them."""

from datetime import datetime, timedelta
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, Query, Router, Schema, Status

from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.alerts import services
from vmdash.alerts.models import Alert as Row
from vmdash.alerts.models import Silence as SilenceRow
from vmdash.api.once import once
from vmdash.api.shapes import Input, Line, Paging, Window, same_named

router = Router(tags=["alerts"])
silences = Router(tags=["alerts"])


class Alert(Schema):
    id: int
    rule: str
    severity: str
    summary: str
    description: str
    host: str
    guest: UUID | None
    pool: str
    started_at: datetime
    resolved_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str
    note: str
    silenced: bool

    @classmethod
    def of(cls, row: Row) -> "Alert":
        plain = (
            "rule", "severity", "summary", "description", "host", "pool", "started_at", "resolved_at",
            "acknowledged_at", "acknowledged_by", "note",
        )  # fmt: skip
        return cls(**same_named(row, *plain), id=row.pk, guest=row.domain, silenced=row.silence_id is not None)


class Silence(Schema):
    id: int
    what: str
    reason: str
    ends_at: datetime
    made_by: str

    @classmethod
    def of(cls, row: SilenceRow) -> "Silence":
        return cls(id=row.pk, what=row.words, reason=row.reason, ends_at=row.ends_at, made_by=row.created_by_name)


class AlertFilters(Paging):
    firing: bool | None = Field(None, description="true: those that last; false: those that are over.")
    severity: str = Field("", pattern="^(critical|warning|info)?$")
    host: Line = ""
    guest: UUID | None = None


class AcknowledgeWish(Input):
    note: Line = Field("", max_length=300)


class SilenceWish(Input):
    reason: Line = Field(min_length=1, max_length=300)
    hours: int = Field(4, ge=1, le=24 * 90)


@router.get("", response=Window[Alert])
@allow(Permission.VIEW)
def list_alerts(request: SignedInRequest, filters: Query[AlertFilters]) -> Window[Alert]:
    """Newest first."""
    found = Row.objects.visible_to(request.user)
    if filters.firing is not None:
        found = found.filter(resolved_at__isnull=filters.firing)
    for name, wanted in (("severity", filters.severity), ("host", filters.host), ("domain", filters.guest)):
        if wanted:
            found = found.filter(**{name: wanted})
    return Window[Alert].out_of([Alert.of(row) for row in filters.of(found)], found.count(), filters)


@router.post("/{int:alert}/acknowledge", response=Alert)
@allow(Permission.ALERTS)
def acknowledge_alert(request: SignedInRequest, alert: int, wish: AcknowledgeWish) -> Alert:
    """Say that somebody knows."""
    found = _alert(request, alert)
    services.acknowledge(alert=found, user=request.user, note=wish.note)
    found.refresh_from_db()
    return Alert.of(found)


@router.post("/{int:alert}/silence", response={201: Silence})
@allow(Permission.ALERTS)
@once
def silence_alert(request: SignedInRequest, alert: int, wish: SilenceWish) -> Status[Silence]:
    """All of this rule for the guest or host that the alert is about."""
    made = services.silence(
        user=request.user,
        alert=_alert(request, alert),
        reason=wish.reason,
        ends_at=timezone.now() + timedelta(hours=wish.hours),
    )
    return Status(201, Silence.of(made))


@silences.get("", response=list[Silence])
@allow(Permission.VIEW)
def list_silences(request: SignedInRequest) -> list[Silence]:
    """Those that have not ended."""
    found = SilenceRow.objects.visible_to(request.user).filter(ends_at__gt=timezone.now())
    return [Silence.of(row) for row in found]


@silences.delete("/{int:silence}", response={204: None})
@allow(Permission.ALERTS)
def end_silence(request: SignedInRequest, silence: int) -> Status[None]:
    found = get_object_or_404(SilenceRow.objects.visible_to(request.user), pk=silence)
    check(request, Permission.ALERTS, found)
    services.end_silence(silence=found, user=request.user)
    return Status(204, None)


def _alert(request: SignedInRequest, pk: int) -> Row:
    found = get_object_or_404(Row.objects.visible_to(request.user), pk=pk)
    check(request, Permission.ALERTS, found)
    return found

"""Whom alerts are told to by mail."""

from datetime import datetime
from typing import Literal

from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema, Status

from vmdash.access.guards import SignedInRequest, allow_everywhere
from vmdash.access.roles import Permission
from vmdash.alerts import selectors, services
from vmdash.alerts.forms import ReceiverForm
from vmdash.alerts.models import Notification
from vmdash.alerts.models import Receiver as Row
from vmdash.api.checked import checked
from vmdash.api.once import once
from vmdash.api.shapes import Input, Line, same_named

router = Router(tags=["alerts"])


class Told(Schema):
    alert: str = Field(description="Its summary.")
    event: str = Field(description="firing or resolved.")
    attempts: int
    sent_at: datetime | None
    given_up_at: datetime | None
    error: str

    @classmethod
    def of(cls, row: Notification) -> "Told":
        return cls(**same_named(row, "event", "attempts", "sent_at", "given_up_at", "error"), alert=row.alert.summary)


class Receiver(Schema):
    id: int
    name: str
    address: str
    least: str = Field(description="Alerts of a lesser severity are not told.")
    last_told: Told | None = Field(description="What it was told last, or is about to be.")

    @classmethod
    def of(cls, row: Row, last: Notification | None = None) -> "Receiver":
        return cls(**same_named(row, "id", "name", "address", "least"), last_told=Told.of(last) if last else None)


class ReceiverWish(Input):
    name: Line = Field(min_length=1, max_length=80)
    address: Line = Field(max_length=254, description="Of mail.")
    least: Literal["critical", "warning", "info"] = "warning"


@router.get("", response=list[Receiver])
@allow_everywhere(Permission.MANAGE_ALERTS)
def list_receivers(request: SignedInRequest) -> list[Receiver]:
    return [Receiver.of(row, last) for row, last in selectors.receivers()]


@router.post("", response={201: Receiver})
@allow_everywhere(Permission.MANAGE_ALERTS)
@once
def add_receiver(request: SignedInRequest, wish: ReceiverWish) -> Status[Receiver]:
    """Tell somebody else, too."""
    form = checked(ReceiverForm(wish.dict()))
    return Status(201, Receiver.of(services.add_receiver(user=request.user, **form)))


@router.post("/{int:receiver}/try", response={204: None})
@allow_everywhere(Permission.MANAGE_ALERTS)
@once
def try_receiver(request: SignedInRequest, receiver: int) -> Status[None]:
    """Have it told of a trial. `last_told` in the list then says what came of it."""
    services.try_receiver(receiver=get_object_or_404(Row, pk=receiver), user=request.user)
    return Status(204, None)


@router.delete("/{int:receiver}", response={204: None})
@allow_everywhere(Permission.MANAGE_ALERTS)
def remove_receiver(request: SignedInRequest, receiver: int) -> Status[None]:
    """It is told nothing any more."""
    services.remove_receiver(receiver=get_object_or_404(Row, pk=receiver), user=request.user)
    return Status(204, None)

"""Webhooks: one's own, and for those who choose whom alerts are told to, everybody's."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema, Status

from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.api.checked import checked
from vmdash.api.hook_forms import WebhookForm
from vmdash.api.once import once
from vmdash.api.shapes import Input, Line, Paging, Window, same_named
from vmdash.webhooks import services
from vmdash.webhooks.models import Delivery as DeliveryRow
from vmdash.webhooks.models import Topic
from vmdash.webhooks.models import Webhook as Row

router = Router(tags=["webhooks"])

Scope = Literal["everything", "site", "host", "tag", "guest"]
Severity = Literal["critical", "warning", "info"]
_TOPICS = f"Of: {', '.join(Topic.values)}."


class Webhook(Schema):
    id: int
    name: str
    url: str
    owner: str
    topics: list[str]
    least: str = Field(description="Alerts of a lesser severity are not told.")
    scope: str
    which: str = Field(description="The name of the site, host, tag or guest.")
    enabled: bool
    off_reason: str
    failing_since: datetime | None = Field(description="Nothing has arrived since then.")
    created_at: datetime

    @classmethod
    def of(cls, row: Row) -> "Webhook":
        return cls(**_fields(row))


class WebhookWithSecret(Webhook):
    secret: str = Field(description="Signs what is sent. It is in this answer alone.")

    @classmethod
    def with_it(cls, row: Row, secret: str) -> "WebhookWithSecret":
        return cls(**_fields(row), secret=secret)


class WebhookWish(Input):
    name: Line = Field(min_length=1, max_length=80)
    url: Line
    topics: list[Line] = Field(min_length=1, max_length=20, description=_TOPICS)
    least: Severity = "warning"
    scope: Scope = "everything"
    which: Line = Field("", max_length=255, description="The name of the site, host, tag or guest; or a guest's UUID.")


class WebhookChange(Input):
    """What is left out stays."""

    name: Line = Field("", min_length=1, max_length=80)
    url: Line = ""
    topics: list[Line] = Field([], min_length=1, max_length=20, description=_TOPICS)
    least: Severity = "warning"
    scope: Scope = Field("everything", description="With it goes `which`.")
    which: Line = Field("", max_length=255)


class Delivery(Schema):
    event: UUID = Field(description="The `webhook-id` of what is sent.")
    kind: str
    happened_at: datetime
    attempts: int
    due_at: datetime
    tried_at: datetime | None
    sent_at: datetime | None = Field(description="When it arrived.")
    given_up_at: datetime | None
    status: int | None = Field(description="What the other side answered last, of HTTP.")
    took_ms: int | None
    error: str

    @classmethod
    def of(cls, row: DeliveryRow) -> "Delivery":
        plain = ("attempts", "due_at", "tried_at", "sent_at", "given_up_at", "status", "took_ms", "error")
        return cls(**same_named(row, *plain), event=row.event_id, kind=row.event.kind, happened_at=row.event.at)


@router.get("", response=list[Webhook])
@allow(Permission.WEBHOOKS)
def list_webhooks(request: SignedInRequest) -> list[Webhook]:
    return [Webhook.of(row) for row in Row.objects.visible_to(request.user).select_related("owner")]


# Not `@once`: what is kept for a second answer would hold the secret, which is nowhere in plain.
@router.post("", response={201: WebhookWithSecret})
@allow(Permission.WEBHOOKS)
def add_webhook(request: SignedInRequest, wish: WebhookWish) -> Status[WebhookWithSecret]:
    """The answer has the secret, and no other has. You have each name once: asked for again, it is a conflict."""
    form = WebhookForm(request.user, wish.dict())
    checked(form)
    made, secret = services.add(user=request.user, choice=form.choice)
    return Status(201, WebhookWithSecret.with_it(made, secret))


@router.get("/{int:webhook}", response=Webhook)
@allow(Permission.WEBHOOKS)
def get_webhook(request: SignedInRequest, webhook: int) -> Webhook:
    return Webhook.of(_seen(request, webhook))


@router.patch("/{int:webhook}", response=Webhook)
@allow(Permission.WEBHOOKS)
def change_webhook(request: SignedInRequest, webhook: int, wish: WebhookChange) -> Webhook:
    """One of your own."""
    found, sent = _own(request, webhook), wish.dict(exclude_unset=True)
    if "scope" in sent:
        sent.setdefault("which", "")
    form = WebhookForm(request.user, {**WebhookForm(request.user, webhook=found).initial, **sent})
    checked(form)
    services.change(webhook=found, user=request.user, choice=form.choice)
    return Webhook.of(found)


@router.delete("/{int:webhook}", response={204: None})
@allow(Permission.WEBHOOKS)
def remove_webhook(request: SignedInRequest, webhook: int) -> Status[None]:
    services.remove(webhook=_seen(request, webhook), user=request.user)
    return Status(204, None)


@router.get("/{int:webhook}/deliveries", response=Window[Delivery])
@allow(Permission.WEBHOOKS)
def list_deliveries(request: SignedInRequest, webhook: int, paging: Query[Paging]) -> Window[Delivery]:
    """What it was told, newest first."""
    found = _seen(request, webhook).deliveries.select_related("event")
    return Window[Delivery].out_of([Delivery.of(row) for row in paging.of(found)], found.count(), paging)


@router.post("/{int:webhook}/test", response={202: Delivery})
@allow(Permission.WEBHOOKS)
@once
def test_webhook(request: SignedInRequest, webhook: int) -> Status[Delivery]:
    """Have one of your own told of a test."""
    return Status(202, Delivery.of(services.send_test(webhook=_own(request, webhook), user=request.user)))


@router.post("/{int:webhook}/secret", response=WebhookWithSecret)
@allow(Permission.WEBHOOKS)
def renew_webhook_secret(request: SignedInRequest, webhook: int) -> WebhookWithSecret:
    """A new secret for one of your own, in this answer alone. From now on it signs, and the old one does not."""
    found = _own(request, webhook)
    return WebhookWithSecret.with_it(found, services.renew_secret(webhook=found, user=request.user))


@router.post("/{int:webhook}/on", response=Webhook)
@allow(Permission.WEBHOOKS)
def switch_webhook_on(request: SignedInRequest, webhook: int) -> Webhook:
    """One of your own: it is told again from now on."""
    services.switch_on(webhook=_own(request, webhook), user=request.user)
    return Webhook.of(_own(request, webhook))


@router.post("/{int:webhook}/off", response=Webhook)
@allow(Permission.WEBHOOKS)
def switch_webhook_off(request: SignedInRequest, webhook: int) -> Webhook:
    """It is told nothing, and what waits for it is given up."""
    found = _seen(request, webhook)
    services.switch_off(webhook=found, reason=f"{request.user} switched it off.", user=request.user)
    return Webhook.of(_seen(request, webhook))


def _fields(row: Row) -> dict[str, Any]:
    plain = (
        "id", "name", "url", "topics", "least", "scope", "enabled", "off_reason", "failing_since", "created_at",
    )  # fmt: skip
    return {**same_named(row, *plain), "owner": row.owner.username, "which": row.scope_name}


def _seen(request: SignedInRequest, pk: int) -> Row:
    return get_object_or_404(Row.objects.visible_to(request.user).select_related("owner"), pk=pk)


def _own(request: SignedInRequest, pk: int) -> Row:
    """Only its owner says where it is and what it tells: it tells what its owner may see."""
    return get_object_or_404(Row.objects.owned_by(request.user).select_related("owner"), pk=pk)

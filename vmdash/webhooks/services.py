"""Making, changing, testing and switching webhooks."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.utils import timezone

from vmdash.access.audit import record
from vmdash.access.models import User
from vmdash.access.reach import Place, Scope
from vmdash.exceptions import Conflict
from vmdash.webhooks.models import Delivery, Event, Kind, Webhook

MOST_EACH = 20
"""Webhooks of one person."""
SECRET_PREFIX = "whsec_"  # noqa: S105  (what Standard Webhooks has secrets begin with)


@dataclass(frozen=True, slots=True)
class Choice:
    """What the form of a webhook says."""

    name: str
    url: str
    topics: list[str]
    least: str
    scope: Place = (Scope.EVERYTHING, "")
    scope_name: str = ""


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def add(*, user: User, choice: Choice) -> tuple[Webhook, str]:
    """A new webhook of `user`, and its secret, which is told this once.

    Raises:
        Conflict: they have one of that name, or too many.
    """
    if Webhook.objects.owned_by(user).count() >= MOST_EACH:
        raise Conflict(f"You have {MOST_EACH} webhooks.", hint="Remove one first.")
    webhook = Webhook(owner=user, secret=new_secret())
    _save(webhook, choice, user, "webhook.add")
    return webhook, webhook.secret


def change(*, webhook: Webhook, user: User, choice: Choice) -> None:
    """Raises Conflict: they have another one of that name."""
    _save(webhook, choice, user, "webhook.edit")


def _save(webhook: Webhook, choice: Choice, user: User, action: str) -> None:
    webhook.name, webhook.url = choice.name, choice.url
    webhook.topics, webhook.least = choice.topics, choice.least
    webhook.scope, webhook.scope_id = choice.scope
    webhook.scope_name = choice.scope_name
    changed = ("name", "url", "topics", "least", "scope", "scope_id", "scope_name")
    try:
        with transaction.atomic():
            webhook.save(update_fields=None if webhook.pk is None else changed)
            # Not its path: services such as chats have their secret in it.
            where = urlsplit(webhook.url)
            _record(user, action, webhook, f"{where.scheme}://{where.netloc}: {', '.join(webhook.topics)}")
    except IntegrityError:
        raise Conflict(f"You have a webhook called {choice.name} already.") from None


def renew_secret(*, webhook: Webhook, user: User) -> str:
    """A new secret, told this once. From now on it signs, and the old one does not."""
    secret = new_secret()
    webhook.secret = secret
    with transaction.atomic():
        webhook.save(update_fields=["secret"])
        _record(user, "webhook.secret", webhook)
    return secret


def remove(*, webhook: Webhook, user: User) -> None:
    with transaction.atomic():
        _record(user, "webhook.remove", webhook)
        webhook.delete()


def switch_on(*, webhook: Webhook, user: User) -> None:
    """From now on it is told again; not of what happened meanwhile."""
    with transaction.atomic():
        Webhook.objects.filter(pk=webhook.pk).update(enabled=True, off_reason="", failing_since=None)
        _record(user, "webhook.on", webhook)


def switch_off(*, webhook: Webhook, reason: str, user: User | None = None) -> None:
    """By a person, or (`user` None) by vmdash itself. What waits for it is given up."""
    with transaction.atomic():
        if not Webhook.objects.filter(pk=webhook.pk, enabled=True).update(enabled=False, off_reason=reason[:400]):
            return
        webhook.deliveries.waiting().update(given_up_at=timezone.now(), error="It was switched off.")
        _record(user, "webhook.off", webhook, reason, failed=user is None)


def send_test(*, webhook: Webhook, user: User) -> Delivery:
    """Have it told of a test. Raises Conflict: it is off."""
    if not webhook.enabled:
        raise Conflict(f"{webhook.name} is off.", hint="Switch it on first.")
    now = timezone.now()
    with transaction.atomic():
        words = f"A test of the webhook {webhook.name}. Nothing happened."
        event = Event.objects.create(kind=Kind.TEST, at=now, data={"message": words}, handed=True)
        delivery = Delivery.objects.create(webhook=webhook, event=event, due_at=now)
        _record(user, "webhook.test", webhook)
    return delivery


def _record(user: User | None, action: str, webhook: Webhook, detail: str = "", *, failed: bool = False) -> None:
    record(
        user=user,
        action=action,
        target_kind="webhook",
        target_id=webhook.pk or "",
        target_name=webhook.name,
        detail=detail,
        failed=failed,
    )

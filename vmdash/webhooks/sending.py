"""Sending what is due, webhook by webhook.

The rows are what counts; a message to Celery is only a nudge, as with jobs. A worker takes a webhook for a while; when
it dies, the webhook is free again once that time is over, and the scheduler calls another worker.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from http import HTTPStatus
from uuid import UUID

import orjson
from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone

from vmdash.exceptions import VmdashError
from vmdash.webhooks import outgoing, signing
from vmdash.webhooks.handing import may_hear
from vmdash.webhooks.models import Delivery, Event, Webhook
from vmdash.webhooks.services import switch_off

log = logging.getLogger(__name__)

AT_ONCE, OF_ONE_OWNER = 8, 2
"""Webhooks that are worked on at a time: receivers that are slow keep few threads of the workers, and one person's do
not keep those of others waiting."""
TAKEN_FOR = timedelta(seconds=60)
ROUND_S = 40
"""Then a worker goes on to something else, before another one may take the webhook."""
FAILURES_A_ROUND = 3
"""So many after each other, and the round ends: who is away is not asked for everything that waits."""
MOST_ATTEMPTS = 9
FIRST_PAUSE = timedelta(seconds=10)
"""Times three after each attempt: the last is about nine hours after the first."""
OFF_AFTER = timedelta(days=2)
"""Of failures without a success."""


def take_those_with_something_due() -> Iterator[tuple[int, datetime]]:
    """Webhooks for which something is due and nobody is at work, each with the time that says who has it.

    Those first that wait longest, and no more at a time than `AT_ONCE` and `OF_ONE_OWNER`.
    """
    now = timezone.now()
    due = Delivery.objects.waiting().filter(webhook=OuterRef("pk"), due_at__lte=now).order_by("due_at")
    free = Q(taken_until=None) | Q(taken_until__lt=now)
    at_work = Counter(Webhook.objects.filter(taken_until__gte=now).values_list("owner", flat=True))
    waiting = Webhook.objects.filter(free, enabled=True).annotate(since=Subquery(due.values("due_at")[:1]))
    for pk, owner in waiting.exclude(since=None).order_by("since").values_list("pk", "owner"):
        if at_work.total() >= AT_ONCE:
            break
        if at_work[owner] < OF_ONE_OWNER and Webhook.objects.filter(free, pk=pk).update(taken_until=now + TAKEN_FOR):
            at_work[owner] += 1
            yield pk, now + TAKEN_FOR


def send_due(webhook_id: int, taken_until: datetime) -> int:
    """Send what is due to a webhook that was taken until then, and give it back. Returns how many arrived."""
    mine = Webhook.objects.filter(pk=webhook_id, taken_until=taken_until)
    taken_until = timezone.now() + TAKEN_FOR
    if not mine.update(taken_until=taken_until):
        return 0  # it came too late: another one has it
    arrived = 0
    try:
        arrived = _round(webhook_id)
    finally:
        Webhook.objects.filter(pk=webhook_id, taken_until=taken_until).update(taken_until=None)
    return arrived


def _round(webhook_id: int) -> int:
    end, arrived, failures = time.monotonic() + ROUND_S, 0, 0
    while failures < FAILURES_A_ROUND and time.monotonic() < end:
        webhook = Webhook.objects.select_related("owner").filter(pk=webhook_id, enabled=True).first()
        if webhook is None:
            break
        due = webhook.deliveries.waiting().filter(due_at__lte=timezone.now())
        one = due.select_related("event").order_by("due_at", "id").first()
        if one is None:
            break
        if _attempt(webhook, one):
            arrived, failures = arrived + 1, 0
        else:
            failures += 1
    return arrived


def _attempt(webhook: Webhook, one: Delivery) -> bool:
    """Whether it arrived. The attempt is written down first, so that one that kills its worker is not made for ever."""
    row, now, attempts = Delivery.objects.filter(pk=one.pk), timezone.now(), one.attempts + 1
    if not row.filter(attempts=one.attempts).update(attempts=attempts, tried_at=now, due_at=now + _pause(attempts)):
        return False
    if not may_hear(webhook.owner, one.event):
        row.update(given_up_at=now, error=f"{webhook.owner} may not see this any more.")
        return True  # nothing is wrong with the address
    began, status, error = time.monotonic(), None, ""
    try:
        status = _post(webhook, one.event)
        if not HTTPStatus(200) <= status < HTTPStatus(300):
            error = _words(status)
    except VmdashError as trouble:
        error = str(trouble)
    row.update(status=status, error=error[:300], took_ms=int((time.monotonic() - began) * 1000))
    if not error:
        row.update(sent_at=timezone.now())
        Webhook.objects.filter(pk=webhook.pk).exclude(failing_since=None).update(failing_since=None)
        return True
    _failed(webhook, one, attempts, status, error)
    return False


def _failed(webhook: Webhook, one: Delivery, attempts: int, status: int | None, error: str) -> None:
    now = timezone.now()
    if attempts >= MOST_ATTEMPTS:
        Delivery.objects.filter(pk=one.pk).update(given_up_at=now)
    Webhook.objects.filter(pk=webhook.pk, failing_since=None).update(failing_since=now)
    since = webhook.failing_since or now
    if status == HTTPStatus.GONE:
        switch_off(webhook=webhook, reason="It answered 410 Gone: nobody wants to be told there any more.")
    elif since < now - OFF_AFTER:
        switch_off(webhook=webhook, reason=f"Nothing arrived since {since:%Y-%m-%d %H:%M} UTC. Last: {error}")
        log.warning("The webhook %s was switched off: %s", webhook.pk, error)


def _post(webhook: Webhook, event: Event) -> int:
    body = orjson.dumps({"type": event.kind, "timestamp": event.at.isoformat(), "data": event.data})
    signed = signing.headers(
        secret=webhook.secret, message_id=message_id(event.pk), timestamp=int(time.time()), body=body
    )
    fixed = {"Content-Type": "application/json", "User-Agent": "vmdash"}
    return outgoing.post(webhook.url, body, fixed | signed)


def message_id(event: UUID) -> str:
    """The same at each attempt: who was told twice notices."""
    return f"msg_{event.hex}"


def _words(status: int) -> str:
    if 300 <= status < 400:
        return f"It answered {status}: redirects are not followed."
    return f"It answered {status}."


def _pause(attempts: int) -> timedelta:
    """Spread a little, so that what failed together does not come back together."""
    times: int = 3 ** (attempts - 1)
    return FIRST_PAUSE * times * random.uniform(0.9, 1.1)  # noqa: S311

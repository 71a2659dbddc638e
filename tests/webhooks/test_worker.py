"""With a real Celery worker that is killed while it sends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from threading import Event as Signal

import pytest
from django.utils import timezone

from tests.polling import poll
from tests.webhooks.hook import Hook
from tests.worker import Worker
from vmdash.access.models import User
from vmdash.webhooks import services, tasks
from vmdash.webhooks.models import Delivery, Webhook

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_killed_worker_loses_nothing(
    operator: User, hook: Hook, webhook_of: Callable[..., Webhook], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMDASH_WEBHOOK_NETWORKS", "127.0.0.0/8")
    webhook, over = webhook_of(operator), Signal()
    hook.meanwhile = lambda: over.wait(20)
    worker = Worker()
    try:
        services.send_test(webhook=webhook, user=operator)
        tasks.tend()
        poll(lambda: hook.got, what="the first attempt")
    finally:
        worker.kill()
    over.set()
    one = Delivery.objects.get()
    assert (one.attempts, one.sent_at) == (1, None)
    # The time passes for which the dead one has the webhook, and so does the pause.
    Webhook.objects.update(taken_until=timezone.now() - timedelta(seconds=1))
    Delivery.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    successor = Worker()
    try:
        tasks.tend()
        poll(lambda: Delivery.objects.filter(attempts=2).exclude(sent_at=None).exists(), what="the second attempt")
    finally:
        successor.stop()
    assert len({headers["webhook-id"] for headers, _ in hook.got}) == 1

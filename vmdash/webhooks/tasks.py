"""What the scheduler has done every other second, and what workers do for each webhook."""

from __future__ import annotations

from datetime import datetime

from vmdash.celery import app
from vmdash.webhooks import handing, sending


@app.task(name="vmdash.webhooks.tasks.tend", expires=10)
def tend() -> None:
    """Hand new events to their webhooks, and call a worker for each webhook for which something is due."""
    handing.hand_on()
    for webhook_id, taken_until in sending.take_those_with_something_due():
        send.apply_async(args=(webhook_id, taken_until.isoformat()), queue="actions")  # long jobs may fill the other


@app.task(name="vmdash.webhooks.tasks.send", expires=sending.TAKEN_FOR.total_seconds())
def send(webhook_id: int, taken_until: str) -> None:
    sending.send_due(webhook_id, datetime.fromisoformat(taken_until))

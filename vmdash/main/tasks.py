"""What the scheduler has done from time to time."""

from __future__ import annotations

from django.utils import timezone

from domains.capacity import history, mail
from domains.snapshots.schedules import ticking
from vmdash.celery import app
from vmdash.main import cleanup


@app.task(name="vmdash.main.tasks.clean_up", expires=3600)
def clean_up() -> None:
    cleanup.clean_up()


@app.task(name="vmdash.main.tasks.snapshots", expires=60)
def snapshots() -> None:
    ticking.tick(timezone.now())


@app.task(name="vmdash.main.tasks.capacity", expires=600)
def capacity() -> None:
    history.tick(timezone.now())


@app.task(name="vmdash.main.tasks.capacity_mail", expires=600)
def capacity_mail() -> None:
    mail.send_due(timezone.now())

"""What the scheduler has done from time to time."""

from __future__ import annotations

from django.utils import timezone

from domains.snapshots.schedules import ticking
from vmdash.celery import app
from vmdash.main import cleanup


@app.task(name="vmdash.main.tasks.clean_up", expires=3600)
def clean_up() -> None:
    cleanup.clean_up()


@app.task(name="vmdash.main.tasks.snapshots", expires=60)
def snapshots() -> None:
    ticking.tick(timezone.now())

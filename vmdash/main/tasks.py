"""What the scheduler has done from time to time."""

from __future__ import annotations

import logging
from contextlib import suppress

from django.utils import timezone

from domains.capacity import history, mail
from domains.snapshots.schedules import ticking
from vmdash.access.trail import chain, syslog
from vmdash.alerts import intake, notifying
from vmdash.alerts import services as alerts
from vmdash.celery import app
from vmdash.exceptions import Unavailable
from vmdash.main import cleanup, gauges

log = logging.getLogger(__name__)


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


@app.task(name="vmdash.main.tasks.write_gauges", expires=15)
def write_gauges() -> None:
    with suppress(Unavailable):  # the collector says so, and pages do
        gauges.write()


@app.task(name="vmdash.main.tasks.tend_alerts", expires=10)
def tend_alerts() -> None:
    """End what nobody speaks of any more, and tell people what they are to be told."""
    intake.resolve_overdue()
    alerts.forget_ended_silences()
    notifying.send_due()


@app.task(name="vmdash.main.tasks.tend_audit", expires=10)
def tend_audit() -> None:
    """Chain what an accident left unchained, and send what is new to syslog."""
    chain.seal()
    try:
        syslog.send_new()
    except OSError as error:
        log.warning("The audit trail cannot be sent to syslog, and will be later: %s", error)

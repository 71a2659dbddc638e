"""The Celery application. Its one task for work is `vmdash.jobs.tasks.run_job`.

    celery -A vmdash.celery worker -P threads -c 64 -Q actions -n actions@%h    # short: start, stop, consoles
    celery -A vmdash.celery worker -P threads -c 32 -Q jobs -n jobs@%h          # long: host tests, migrations, clones
    celery -A vmdash.celery beat

Threads and not processes: jobs spend their time waiting for hosts and guests, and one process of 64 threads takes the
memory of one. libvirt calls release Python's lock. Time limits are kept by `vmdash.jobs.liveness`.
"""

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vmdash.settings")
# Django's checks would load every page into each worker. `manage.py` runs them.
os.environ.setdefault("CELERY_SKIP_CHECKS", "yes")

app = Celery("vmdash")
app.conf.update(
    broker_url=settings.REDIS_URL,
    broker_connection_retry_on_startup=True,
    # A message only calls a worker to a job, and lost ones are sent again (`vmdash.jobs.recovery`): Redis need not
    # remember those at work; kombu's way of doing so ends workers whose Redis goes away (docs/adr/0007).
    broker_transport_options={"ack_emulation": False},
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_default_queue="jobs",
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    timezone=settings.TIME_ZONE,
    beat_schedule={
        "clean-up": {"task": "vmdash.main.tasks.clean_up", "schedule": 24 * 3600, "options": {"queue": "jobs"}},
        "snapshots": {"task": "vmdash.main.tasks.snapshots", "schedule": 60, "options": {"queue": "actions"}},
        "capacity": {"task": "vmdash.main.tasks.capacity", "schedule": 600, "options": {"queue": "jobs"}},
        "capacity-mail": {"task": "vmdash.main.tasks.capacity_mail", "schedule": 1800, "options": {"queue": "jobs"}},
        "gauges": {"task": "vmdash.main.tasks.write_gauges", "schedule": 15, "options": {"queue": "actions"}},
        "alerts": {"task": "vmdash.main.tasks.tend_alerts", "schedule": 10, "options": {"queue": "actions"}},
        "webhooks": {"task": "vmdash.webhooks.tasks.tend", "schedule": 2, "options": {"queue": "actions"}},
        "audit": {"task": "vmdash.main.tasks.tend_audit", "schedule": 10, "options": {"queue": "actions"}},
        "recover": {"task": "vmdash.jobs.tasks.recover", "schedule": 10, "options": {"queue": "actions"}},
    },
)
app.autodiscover_tasks(["vmdash.jobs", "vmdash.main", "vmdash.webhooks"])

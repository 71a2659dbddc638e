"""`manage.py restore`."""

from __future__ import annotations

import tempfile
from importlib import import_module
from pathlib import Path

import redis
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import Error, connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from hosts.collector.leases import living_collectors
from vmdash.access.audit import record
from vmdash.access.models import AuditHead
from vmdash.api.models import Token
from vmdash.exceptions import Conflict, InvalidInput, Unavailable
from vmdash.jobs import transitions
from vmdash.jobs.models import Job
from vmdash.live.redis import client
from vmdash.main.backup import archive, databases, keys
from vmdash.main.backup.archive import Manifest
from vmdash.webhooks.models import Delivery, Event

_OURS = ("vmdash.", "hosts", "domains", "storage")


def restore(file: Path, *, force: bool = False) -> Manifest:
    """Put what `file` holds in the place of the database. What it held is lost, for which `force` is needed.

    Everybody has to sign in and to make tokens anew. Jobs that waited then do not begin now, and what waited for
    webhooks is not sent. Raises VmdashError; nothing was changed then, unless the message says so.
    """
    settings.DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".restore.", dir=settings.DATA_DIR) as folder:
            manifest = archive.read(file, Path(folder))
            _check(file, manifest)
            _check_stopped()
            if not force and (found := _held()):
                raise Conflict(
                    f"The database holds data already ({found}), which would be lost.",
                    hint="Make a backup of it, then add --force.",
                )
            databases.load(Path(folder) / archive.DATABASE)
    except OSError as error:
        raise Unavailable(f"{settings.DATA_DIR} cannot be written: {error.strerror or error}.") from error
    except Error as error:
        raise Unavailable("The database does not answer.", hint="Nothing was changed.", detail=str(error)) from error
    _settle(file, manifest)
    return manifest


def _check(file: Path, manifest: Manifest) -> None:
    """Whether this vmdash can do anything with it."""
    if manifest.engine != (here := databases.engine()):
        raise InvalidInput(f"{file} was made of {_NAMES[manifest.engine]}, and DATABASE_URL names {_NAMES[here]}.")
    known = {".".join(key) for key in MigrationLoader(None).disk_migrations or ()}
    if newer := sorted(set(manifest.migrations) - known):
        raise InvalidInput(
            f"{file} was made by a newer vmdash ({newer[0]}).", hint="Install that version, then restore."
        )
    if missing := sorted(set(manifest.keys) - keys.present()):
        has_it = archive.KEYS in manifest.sha256
        raise InvalidInput(
            f"Secrets in {file} need the key with the fingerprint {missing[0]}, which is not in "
            "VMDASH_ENCRYPTION_KEYS.",
            hint=f"The backup has it: tar --extract --to-stdout --file {file} {archive.KEYS}"
            if has_it
            else "Add it there (behind a comma), or to the file encryption_keys in the data directory's secrets.",
        )


_NAMES = {"sqlite": "an SQLite database", "postgresql": "a PostgreSQL database"}


def _check_stopped() -> None:
    try:
        running = living_collectors(client())
    except redis.RedisError:
        return  # nothing of vmdash works without it
    if running:
        raise Conflict("vmdash is running.", hint="Stop it, wait ten seconds, and restore then.")


def _held() -> str:
    """What of ours is in the database: the name of a table with rows, or nothing."""
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
    for model in apps.get_models(include_auto_created=True):
        is_ours = f"{model.__module__}.".startswith(_OURS) and model is not AuditHead
        if is_ours and model._meta.db_table in tables and model._default_manager.exists():
            return str(model._meta.verbose_name_plural)
    return ""


def _settle(file: Path, manifest: Manifest) -> None:
    """What was true when the backup was made and is not now."""
    try:
        call_command("migrate", interactive=False, verbosity=0)
        sessions = import_module(settings.SESSION_ENGINE).SessionStore.get_model_class()
        with transaction.atomic():
            sessions.objects.all().delete()
            UserSession.objects.all().delete()
            withdrawn, _ = Token.objects.all().delete()  # those that were withdrawn since must not count again
            for job in Job.objects.filter(state=Job.State.QUEUED):
                transitions.fail(job, "vmdash was restored from a backup before it began. Ask for it anew.")
            Event.objects.filter(handed=False).update(handed=True)
            why = "vmdash was restored from a backup before it was sent."
            Delivery.objects.waiting().update(given_up_at=timezone.now(), error=why)
            words = f"{file.name}, made at {manifest.made_at}; {withdrawn} tokens ended"
            record(user=None, action="backup.restore", detail=words)
    except Error as error:
        raise Unavailable(
            "The backup was restored, but could not be brought up to this version.",
            hint="Run manage.py migrate, and see what it says.",
            detail=str(error),
        ) from error

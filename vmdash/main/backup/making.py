"""`manage.py backup`."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.recorder import MigrationRecorder

from vmdash.access.audit import record
from vmdash.exceptions import Unavailable
from vmdash.main.backup import archive, databases, keys
from vmdash.main.backup.archive import Manifest


def make(file: Path, *, with_keys: bool = False) -> Manifest:
    """Write all that the database holds to `file`, and the keys of its secrets only `with_keys`.

    Raises VmdashError; there is no file then.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=f".{file.name}.", dir=file.absolute().parent) as folder:
            return _make(file, Path(folder), with_keys)
    except OSError as error:
        raise Unavailable(f"{file} cannot be written: {error.strerror or error}.") from error
    except Error as error:
        raise Unavailable("The database does not answer.", detail=str(error)) from error


def _make(file: Path, folder: Path, with_keys: bool) -> Manifest:
    needed = keys.needed()
    members = {archive.DATABASE: folder / archive.DATABASE}
    databases.dump(members[archive.DATABASE])
    if with_keys:
        members[archive.KEYS] = folder / archive.KEYS
        members[archive.KEYS].write_text(",".join(settings.ENCRYPTION_KEYS) + "\n")
    manifest = Manifest(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        engine=databases.engine(),
        migrations=sorted(".".join(key) for key in MigrationRecorder(connection).applied_migrations()),
        keys=needed,
        sha256={name: archive.digest(path) for name, path in members.items()},
    )
    archive.write(file, manifest, members)
    record(user=None, action="backup.make", detail=f"{file.name}{', with the keys' if with_keys else ''}")
    return manifest

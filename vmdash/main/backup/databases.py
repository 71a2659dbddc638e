"""A database into a file and back, by the tools that it comes with. Restoring is one transaction: all or nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from django.conf import settings
from django.db import connection

from vmdash.exceptions import Conflict, InvalidInput, Unavailable
from vmdash.main.backup.archive import pack, unpacked

_PRIVATE_OPTIONS = ("--no-owner", "--no-privileges")
"""Another server has other roles."""


def engine() -> str:
    return "postgresql" if connection.vendor == "postgresql" else "sqlite"


def dump(target: Path) -> None:
    """All of the database as it is at one moment, packed. Others may go on writing. Raises Unavailable."""
    if engine() == "sqlite":
        _dump_sqlite(target)
    else:
        _dump_postgresql(target)


def load(packed: Path) -> None:
    """Put what `dump` wrote in the place of all that the database holds.

    Raises Unavailable or InvalidInput; nothing was changed then.
    """
    plain = unpacked(packed, packed.with_name("plain"))
    connection.close()
    if engine() == "sqlite":
        _load_sqlite(plain)
    else:
        _load_postgresql(plain)


def _dump_sqlite(target: Path) -> None:
    copy = target.with_name("copy.sqlite3")
    copy.touch(mode=0o600)
    try:
        with closing(_sqlite()) as source, closing(sqlite3.connect(copy)) as output:
            source.backup(output)
    except sqlite3.Error as error:
        raise Unavailable(f"The database cannot be copied: {error}.") from error
    with copy.open("rb") as stream:
        pack(stream, target)
    copy.unlink()


def _load_sqlite(plain: Path) -> None:
    try:
        with closing(sqlite3.connect(plain)) as source, closing(_sqlite()) as target:
            if source.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                raise InvalidInput("The database in the backup is damaged.", hint="Nothing was changed.")
            source.backup(target)
    except sqlite3.Error as error:
        raise Unavailable(f"The database cannot be written: {error}.", hint="Nothing was changed.") from error


def _sqlite() -> sqlite3.Connection:
    return sqlite3.connect(settings.DATABASES["default"]["NAME"], timeout=30)


def _dump_postgresql(target: Path) -> None:
    command, environment = _client("pg_dump", *_PRIVATE_OPTIONS, "--format=plain")
    plain = target.with_name("plain")
    with plain.open("w+b") as output:
        plain.chmod(0o600)
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            raise Unavailable("pg_dump could not read the database.", detail=done.stderr[-2000:])
        output.seek(0)
        pack(output, target)
    plain.unlink()


def _load_postgresql(plain: Path) -> None:
    script = plain.with_name("all.sql")
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
    connection.close()
    with script.open("wb") as output, plain.open("rb") as dumped:
        script.chmod(0o600)
        # Writers would wait for these locks, and take what is new for what they knew.
        output.write(b"SET lock_timeout = '30s';\n")
        for table in tables:
            output.write(f"DROP TABLE IF EXISTS {connection.ops.quote_name(table)} CASCADE;\n".encode())
        shutil.copyfileobj(dumped, output)
    command, environment = _client(
        "psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--output=/dev/null",
        f"--file={script}",
    )  # fmt: skip
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(
            "PostgreSQL did not take the backup.", hint="Nothing was changed.", detail=done.stderr[-2000:]
        )


def _client(program: str, *options: str) -> tuple[list[str], dict[str, str]]:
    """A command of PostgreSQL's for our database, and its environment, which has the password."""
    found = shutil.which(program)
    if found is None:
        raise Conflict(f"{program} is not installed here.", hint="Install the package postgresql-client.")
    (_, *where), secrets = connection.client.settings_to_cmd_args_env(connection.settings_dict, [])
    return [found, *options, *where], {**os.environ, **(secrets or {})}

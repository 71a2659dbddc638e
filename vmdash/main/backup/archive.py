"""The file of a backup: a tar archive, whose first member says what it is and what the others must be.

manifest.json     `Manifest`
database          SQL for psql, or an SQLite database; packed with gzip
encryption-keys   only if it was asked for
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from vmdash.exceptions import Conflict, InvalidInput, Unavailable

FORMAT = 1
MANIFEST, DATABASE, KEYS = "manifest.json", "database", "encryption-keys"
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    made_at: str
    """ISO 8601, UTC."""
    engine: str
    """`sqlite` or `postgresql`."""
    migrations: list[str]
    """`app.name` of each that was made."""
    keys: list[str]
    """Fingerprints (`keys.fingerprint`) of those that the stored secrets need."""
    sha256: Mapping[str, str]
    """Of every other member, as it is in the archive."""
    format: int = FORMAT


def write(file: Path, manifest: Manifest, members: Mapping[str, Path]) -> None:
    """Make `file`, readable by its owner alone. It is there as a whole or not at all.

    Raises:
        Conflict: there is such a file.
        OSError: it cannot be written.
    """
    if file.exists():
        raise Conflict(f"There is a file {file} already.", hint="Choose another name, or remove it.")
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
                _add(archive, MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
                for name, path in members.items():
                    info = tarfile.TarInfo(name)
                    info.size, info.mode = path.stat().st_size, 0o600
                    with path.open("rb") as content:
                        archive.addfile(info, content)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(draft, file)
    except FileExistsError:
        raise Conflict(f"There is a file {file} already.", hint="Choose another name, or remove it.") from None
    finally:
        draft.unlink(missing_ok=True)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o600
    archive.addfile(info, io.BytesIO(content))


def read(file: Path, into: Path) -> Manifest:
    """Take the archive apart in the folder `into`, once all of it is known to be as it was written.

    Raises:
        InvalidInput: it is no backup, damaged, or of a newer vmdash.
        Unavailable: it cannot be read.
    """
    try:
        with tarfile.open(file) as archive:
            manifest = _manifest(file, archive)
            for name, expected in manifest.sha256.items():
                if _unpack(archive, name, into / name) != expected:
                    raise _damaged(file, f"{name} is not what was written")
    except (tarfile.TarError, EOFError, KeyError) as error:
        raise _damaged(file, str(error)) from error
    except OSError as error:
        raise Unavailable(f"{file} cannot be read: {error.strerror or error}.") from error
    return manifest


def _manifest(file: Path, archive: tarfile.TarFile) -> Manifest:
    stream = archive.extractfile(MANIFEST)
    try:
        known = json.loads(stream.read()) if stream else {}
        if known["format"] != FORMAT:
            raise InvalidInput(f"{file} was made by another vmdash.", hint="Restore it with the version that made it.")
        manifest = Manifest(**known)
    except (ValueError, TypeError) as error:
        raise _damaged(file, str(error)) from error
    if not {DATABASE} <= set(manifest.sha256) <= {DATABASE, KEYS}:
        raise _damaged(file, "it has other parts than a backup has")
    return manifest


def _unpack(archive: tarfile.TarFile, name: str, target: Path) -> str:
    """Returns the SHA-256 in hexadecimal."""
    stream = archive.extractfile(name)
    if stream is None:
        return ""
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
        shutil.copyfileobj(stream, output, _BLOCK)
    return digest(target)


def _damaged(file: Path, why: str) -> InvalidInput:
    return InvalidInput(f"{file} is damaged, or no backup of vmdash.", hint="Nothing was changed.", detail=why)


def digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def pack(source: IO[bytes], target: Path) -> None:
    with gzip.open(target, "wb", compresslevel=6) as output:
        shutil.copyfileobj(source, output, _BLOCK)
    with suppress(OSError):
        target.chmod(0o600)


def unpacked(packed: Path, target: Path) -> Path:
    """`target`, with what `packed` holds. Raises InvalidInput when it cannot be unpacked."""
    try:
        with gzip.open(packed) as stream, target.open("wb") as output:
            target.chmod(0o600)
            shutil.copyfileobj(stream, output, _BLOCK)
    except (gzip.BadGzipFile, EOFError) as error:
        raise _damaged(packed, str(error)) from error
    return target

"""Strict readers for the environment: the one place that looks at `os.environ`.

Every setting is a `VMDASH_…` variable (plus `DATABASE_URL` and `REDIS_URL`), and `NAME_FILE` may
name a file that holds the value, for secrets. A value that cannot be read stops the start with a
sentence that names the variable, and so does a variable nobody reads (`refuse_unknown`): a
misspelt name is not silently ignored.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import secrets
from collections.abc import Callable, Collection
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from string import Formatter
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured

FOR_OTHERS = ("VMDASH_TEST_", "VMDASH_LAB_KEEP", "VMDASH_CLI_")
"""Variables that begin so are read by tests, and by the command line."""

KNOWN: set[str] = set()
"""Every variable that was asked for, for the check and for the documentation test."""


def text(name: str, default: str) -> str:
    """The value of `name`, of the file that `name_FILE` names, or `default`."""
    KNOWN.add(name)
    file = os.environ.get(f"{name}_FILE")
    if file is None:
        return os.environ.get(name, default)
    if name in os.environ:
        raise ImproperlyConfigured(f"Both {name} and {name}_FILE are set. Keep one of them.")
    try:
        return Path(file).read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE names {file}, which cannot be read: {error.strerror}.") from error


def boolean(name: str, default: bool) -> bool:
    value = text(name, "yes" if default else "no").lower()
    if value not in {"yes", "no", "true", "false", "1", "0"}:
        raise ImproperlyConfigured(f"{name} is {value!r}. Write yes or no.")
    return value in {"yes", "true", "1"}


def choice(name: str, default: str, choices: Collection[str]) -> str:
    """One of `choices`, which are in capitals; small letters will do."""
    value = text(name, default).upper()
    if value not in choices:
        raise ImproperlyConfigured(f"{name} is {value!r}. Write one of {', '.join(choices)}.")
    return value


def url(name: str, example: str, is_valid: Callable[[SplitResult], object]) -> str:
    """An address for which `is_valid` holds, such as `example`; empty when it is not set."""
    value = text(name, "")
    with suppress(ValueError):
        parts = urlsplit(value)
        _ = parts.port  # raises ValueError for what is no port
        if not value or is_valid(parts):
            return value
    # The value may hold a password.
    raise ImproperlyConfigured(f"{name} is not an address that can be used. Write one such as {example}.")


def integer(name: str, default: int, *, least: int, most: int) -> int:
    value = text(name, str(default))
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}. Write a whole number.") from None
    if not least <= number <= most:
        raise ImproperlyConfigured(f"{name} is {number}. Write a number from {least} to {most}.")
    return number


def pattern(name: str, default: str, *, fields: Collection[str], needed: Collection[str]) -> str:
    """A text with `{fields}` to be filled in, those of `needed` among them."""
    value = text(name, default)
    try:
        used = [field for _, field, form, how in Formatter().parse(value) if field is not None and not form and not how]
        plain = value.format_map(dict.fromkeys(fields, ""))
    except (ValueError, KeyError, IndexError, AttributeError):
        used, plain = [], ""
    if not set(needed) <= set(used) <= set(fields) or "/" in plain:
        known, must = (", ".join(f"{{{field}}}" for field in some) for some in (fields, needed))
        raise ImproperlyConfigured(f"{name} is {value!r}. Write a name with {must} in it; there are {known}.")
    return value


def words(name: str, default: str = "") -> list[str]:
    """A comma-separated list; empty items are dropped."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def networks(name: str) -> list[IPv4Network | IPv6Network]:
    """A comma-separated list of IP addresses or networks: `10.0.0.5, fd00::/8`."""
    try:
        return [ipaddress.ip_network(word) for word in words(name)]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} has what is no address or network: {error}.") from error


def listen(name: str, default: str) -> tuple[str, int]:
    """An `ADDRESS:PORT` to listen on, as `(address, port)`; IPv6 in brackets."""
    value = text(name, default)
    address, colon, port = value.rpartition(":")
    if not colon or not address or not port.isdigit() or not 0 < int(port) < 65536:
        raise ImproperlyConfigured(f"{name} is {value!r}. Write ADDRESS:PORT, such as {default}.")
    return address.strip("[]"), int(port)


def refuse_unknown() -> None:
    """Raises ImproperlyConfigured for a variable of ours that was not asked for; call it when all were."""
    known = KNOWN | {f"{name}_FILE" for name in KNOWN}
    strangers = {name for name in os.environ if name.startswith("VMDASH_") and not name.startswith(FOR_OTHERS)}
    for name in sorted(strangers - known):
        similar = difflib.get_close_matches(name, known, 1)
        advice = f"Did you mean {similar[0]}?" if similar else "README.md lists the settings. Unset it."
        raise ImproperlyConfigured(f"The environment variable {name} is not a setting of vmdash. {advice}")


def private_directory(path: Path) -> Path:
    """Make `path` if need be, and see to it that nobody else can look into it. Raises OSError."""
    path.mkdir(parents=True, exist_ok=True)
    if path.stat().st_mode & 0o077:
        with suppress(PermissionError):  # it is another user's, who may let us in
            path.chmod(0o700)
    return path


def mac_prefix(name: str, default: str) -> str:
    """The first bytes, from one to five, of MAC addresses for single machines: `52:54:00`."""
    value = text(name, default).strip().lower()
    if not re.fullmatch(r"[0-9a-f][02468ace](:[0-9a-f]{2}){0,4}", value):
        raise ImproperlyConfigured(f"{name} is {value!r}. Write the beginning of a MAC address, such as {default}.")
    return value


def secret(name: str, keep_in: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(48)) -> str:
    """A secret from the environment, or one made on first use and kept in `keep_in` (mode 0600).

    Processes that start together agree: the file is created exclusively and everybody reads it.
    """
    if value := text(name, ""):
        return value
    file = keep_in / name.removeprefix("VMDASH_").lower()
    try:
        return _kept(file, make)
    except OSError as error:
        raise ImproperlyConfigured(
            f"The secret in {file} cannot be read or made: {error.strerror}. "
            f"Give {keep_in.parent} to the user that runs vmdash, or set VMDASH_DATA_DIR to another directory."
        ) from error


def _kept(file: Path, make: Callable[[], str]) -> str:
    """What `file` holds, made if need be. Raises OSError."""
    if not file.exists():
        keep_in = private_directory(private_directory(file.parent.parent) / file.parent.name)
        draft = keep_in / f".{file.name}.{os.getpid()}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            stream.write(make())
        try:
            os.link(draft, file)
        except FileExistsError:
            pass  # another process was first; its value counts
        finally:
            draft.unlink()
    return file.read_text().strip()

"""Which vmdash, and with which token: from the environment or, for what is not there, from a file."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

URL, TOKEN, FILE = "VMDASH_CLI_URL", "VMDASH_CLI_TOKEN", "VMDASH_CLI_FILE"


class NoAccess(Exception):
    """It is not known where to go or who asks. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Access:
    url: str
    token: str = field(repr=False)


def access() -> Access:
    """Raises NoAccess."""
    path = Path(os.environ.get(FILE) or Path.home() / ".config" / "vmdash" / "cli.toml")
    found = {"url": os.environ.get(URL, ""), "token": os.environ.get(TOKEN, "")}
    if not all(found.values()):
        found = {name: value or _kept(path).get(name, "") for name, value in found.items()}
    for name, variable in (("url", URL), ("token", TOKEN)):
        if not found[name]:
            raise NoAccess(f'Set {variable}, or write {name} = "…" into {path} (mode 0600).')
    if not found["url"].startswith(("https://", "http://")):
        raise NoAccess(f"{found['url']!r} is no address. Write https://NAME.")
    return Access(found["url"].rstrip("/"), found["token"])


def _kept(path: Path) -> dict[str, str]:
    try:
        if path.stat().st_mode & 0o077:
            raise NoAccess(f"Others may read {path}, and a token is in it: chmod 600 {path}")
        kept = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise NoAccess(f"{path} cannot be read: {error}") from error
    return {name: value for name, value in kept.items() if isinstance(value, str)}

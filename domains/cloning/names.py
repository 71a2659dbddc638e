"""Names, volume names and MAC addresses of clones."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator

from django.conf import settings

from domains.models import Domain
from vmdash.exceptions import InvalidInput
from vmdash.jobs.models import Job

MOST_CLONES = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_MAC = re.compile("[0-9a-f]{2}(:[0-9a-f]{2}){5}")
NUMBER = "{n}"


def names(pattern: str, count: int, first: int = 1) -> list[str]:
    """The names of `count` clones: `web-{n}` with 3 and 8 is web-8, web-9, web-10. `{n:3}` pads with zeros.

    Raises:
        InvalidInput: not a name, or several clones and no place for the number.
    """
    if not 1 <= count <= MOST_CLONES:
        raise InvalidInput(f"Make from 1 to {MOST_CLONES} clones at once.")
    place = re.search(r"\{n(?::([1-9]))?\}", pattern)
    if place is None and count > 1:
        raise InvalidInput(f"{count} clones need {count} names.", hint="Write {n} where the number goes: web-{n}.")
    width = int(place[1] or 0) if place else 0
    made = [
        pattern if place is None else f"{pattern[: place.start()]}{number:0{width}}{pattern[place.end() :]}"
        for number in range(first, first + count)
    ]
    for name in made:
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"“{name[:80]}” cannot be the name of a guest.",
                hint="Use letters, digits, dot, dash, plus and underscore; a letter or digit first; at most 64.",
            )
    return made


def suggestion(name: str, taken: Collection[str]) -> str:
    """A name for a clone of `name` that nobody has: web1 → web2, db → db-2."""
    match = re.fullmatch(r"(.*?)([0-9]{1,6})", name)
    stem, number = (match[1], int(match[2]) + 1) if match else (f"{name}-", 2)
    while f"{stem}{number}" in taken:
        number += 1
    return f"{stem}{number}"


def volume_name(clone: str, target: str, format: str, *, alone: bool) -> str:
    """How the volume of a clone's disk is called: by the guest, its disk where it has several, and the format."""
    ending = {"qcow2": ".qcow2", "raw": ".img"}.get(format, f".{format}" if format else "")
    return f"{clone}{'' if alone else f'-{target}'}{ending}"


def new_macs(count: int, wished: Collection[str] = ()) -> list[str]:
    """So many MAC addresses that no guest of the fleet has or is about to get; the wished ones where they are free."""
    taken = set(known_macs())
    found = [one for one in dict.fromkeys(wished) if is_ours(one) and one not in taken][:count]
    taken |= set(found)
    while len(found) < count:
        address = _random()
        if address not in taken:
            taken.add(address)
            found.append(address)
    return found


def is_ours(address: str) -> bool:
    """Whether it is an address with the prefix that clones get."""
    return bool(_MAC.fullmatch(address)) and address.startswith(settings.MAC_PREFIX)


def known_macs() -> Iterator[str]:
    """Every address that a guest has, or will have when an unfinished job is through."""
    for interfaces in Domain.objects.exclude(interfaces=[]).values_list("interfaces", flat=True):
        yield from (one["mac"].lower() for one in interfaces if one.get("mac"))
    for parameters in Job.objects.unfinished().filter(kind__startswith="domain.clone").values_list("parameters"):
        for clone in [*parameters[0].get("clones", ()), parameters[0].get("clone", {})]:
            yield from clone.get("macs", ())


def _random() -> str:
    fixed = settings.MAC_PREFIX.split(":")
    rest = secrets.token_bytes(6 - len(fixed))
    return ":".join([*fixed, *(f"{byte:02x}" for byte in rest)])

"""Which hosts a person is told the names of: those that they may see, and the present host of each guest that they may
see. No other host is named, nor its address, also where a guest once was there or is to go there."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from vmdash.access.roles import Permission, can_everywhere
from vmdash.access.subjects import Subject, reached

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

UNNAMED = "a host that you may not see"
"""In place of a name, within a sentence."""


def hosts_told(user: User | AnonymousUser, names: Iterable[str]) -> set[str]:
    """Those of the `names` of hosts that may be told to `user`. One query; none for who sees everything."""
    asked = set(filter(None, names))
    if not asked or can_everywhere(user, Permission.VIEW):
        return asked
    seen = reached(Subject.HOST, user, Permission.VIEW).filter(name__in=asked)
    carrying = reached(Subject.GUEST, user, Permission.VIEW).filter(host__name__in=asked, gone_at=None)
    return set(seen.values_list("name").union(carrying.values_list("host__name")).values_list("name", flat=True))


def unnamed(text: str, hidden: Collection[str]) -> str:
    """`text` without the names of these hosts, nor addresses that begin with one."""
    return re.sub(rf"(?<![\w.-]){_any(hidden)}(?![\w-])(?:\.\w[\w-]*)*", UNNAMED, text) if hidden else text


def without_place(title: str, hidden: Collection[str]) -> str:
    """("Move web1 to kvm9", ["kvm9"]) → "Move web1"."""
    return unnamed(re.sub(rf" (?:to|on|from) {_any(hidden)}(?![\w.-])", "", title), hidden) if hidden else title


def _any(names: Collection[str]) -> str:
    return f"(?:{'|'.join(re.escape(name) for name in sorted(names, key=len, reverse=True))})"

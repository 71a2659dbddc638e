"""The misplaced guests of the whole fleet, for counts and filters.

Where vCPUs are is looked at every half minute, so what is found is kept for as long: a fleet page is asked for often,
and ten thousand guests take a fifth of a second.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import orjson
import redis

from domains.models import Domain
from domains.numa.selectors import misplaced_among
from hosts.models import Host
from vmdash.access.roles import Permission, can_everywhere
from vmdash.live.redis import PREFIX, client

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

log = logging.getLogger(__name__)

KEPT_S = 30
KEY = f"{PREFIX}:misplaced"


def misplaced() -> list[str]:
    """UUIDs of those that run where they should not, whoever may see them; at most `KEPT_S` old."""
    try:
        kept = client().get(KEY)
    except redis.RedisError as error:
        log.warning("The live cache cannot be read: %s", error)
        return []
    if isinstance(kept, bytes):
        known: list[str] = orjson.loads(kept)
        return known
    found = [str(one.guest.pk) for one in misplaced_among(Domain.objects.present(), list(Host.objects.only("cells")))]
    try:
        client().set(KEY, orjson.dumps(found), ex=KEPT_S)
    except redis.RedisError as error:
        log.warning("What is misplaced is not kept: %s", error)
    return found


def count_misplaced(user: User | AnonymousUser) -> int:
    """Those that the person may see. No query for who sees everything: there may be thousands."""
    found = misplaced()
    if can_everywhere(user, Permission.VIEW):
        return len(found)
    return Domain.objects.visible_to(user).filter(pk__in=found).count() if found else 0

"""Orders to a migration that runs: more downtime, more bandwidth, post-copy, a pause. Its worker carries them out.

They wait in Redis: an order to a job that has ended, or whose worker has died, is of no use to anybody.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from vmdash.live.redis import PREFIX, client

if TYPE_CHECKING:
    from vmdash.virt.guest import Guest

EXPIRE_S = 60


@dataclass(frozen=True, slots=True)
class Order:
    """`key` is one of `ORDERS`, `amount` in its unit, `by` who gave it."""

    key: str
    amount: int
    by: str

    @property
    def words(self) -> str:
        return ORDERS[self.key].words.format(amount=self.amount or "any")


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort of order. `least` and `most` bound the amount; both 0: it takes none."""

    words: str
    least: int = 0
    most: int = 0


ORDERS = {
    "downtime": Sort("It may stand still for {amount} ms", least=1, most=600_000),
    "bandwidth": Sort("{amount} MiB/s may be used", least=0, most=1_000_000),
    "post_copy": Sort("Switch to post-copy"),
    "pause": Sort("Pause the guest until it has arrived"),
}


def give(job_id: UUID, order: Order) -> None:
    """Raises redis.RedisError."""
    text = json.dumps({"key": order.key, "amount": order.amount, "by": order.by})
    with client().pipeline() as pipe:
        pipe.rpush(_key(job_id), text)
        pipe.expire(_key(job_id), EXPIRE_S)
        pipe.execute()


def take(job_id: UUID) -> Order | None:
    """The oldest order that waits. Raises redis.RedisError."""
    text = client().lpop(_key(job_id))
    return Order(**json.loads(text)) if isinstance(text, str | bytes) else None


def carry_out(guest: Guest, order: Order) -> None:
    """Raises VirtError."""
    from vmdash.virt import migration

    match order.key:
        case "downtime":
            migration.set_max_downtime(guest, order.amount)
        case "bandwidth":
            migration.set_bandwidth(guest, order.amount)
        case "post_copy":
            migration.start_post_copy(guest)
        case "pause":
            guest.suspend()


def _key(job_id: UUID) -> str:
    return f"{PREFIX}:orders:{job_id}"

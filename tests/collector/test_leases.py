"""Sharing the hosts between collectors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import redis.asyncio

from hosts.collector.leases import COLLECTORS_KEY, Leases, surplus
from tests.polling import poll_async
from vmdash.live.redis import async_client, lease_key

HOSTS = [1, 2, 3, 4, 5]
LEASE_S = 0.3


@pytest.fixture
async def client() -> AsyncIterator[redis.asyncio.Redis]:
    client = async_client()
    yield client
    await client.aclose()


@pytest.fixture
def collector(client: redis.asyncio.Redis) -> Callable[[], Leases]:
    return lambda: Leases(client, LEASE_S)


async def test_one_collector_takes_all_hosts_each_under_a_token_of_its_own(collector: Callable[[], Leases]) -> None:
    held, share = await collector().renew(HOSTS)

    assert (sorted(held), share) == (HOSTS, 5)
    assert len(set(held.values())) == 5


async def test_renewing_keeps_the_tokens(collector: Callable[[], Leases]) -> None:
    one = collector()

    assert await one.renew(HOSTS) == await one.renew(HOSTS)


async def test_a_newcomer_gets_its_share_once_the_other_hands_over(collector: Callable[[], Leases]) -> None:
    one, two = collector(), collector()
    await one.renew(HOSTS)
    assert await two.renew(HOSTS) == ({}, 3)

    held, share = await one.renew(HOSTS)
    handed_over = surplus(held, share)
    await one.release(handed_over)

    assert len(handed_over) == 2
    taken, _ = await two.renew(HOSTS)
    assert sorted(taken) == sorted(handed_over)
    kept, share = await one.renew(HOSTS)
    assert not surplus(kept, share)
    assert sorted([*kept, *taken]) == HOSTS


async def test_what_a_dead_collector_held_is_taken_after_the_lease_with_newer_tokens(
    collector: Callable[[], Leases],
) -> None:
    dead, heir = collector(), collector()
    before, _ = await dead.renew(HOSTS)

    async def inherited() -> dict[int, int]:
        held, share = await heir.renew(HOSTS)
        return held if share == 5 and len(held) == 5 else {}

    after = await poll_async(inherited, 5, "the leases to end")
    assert all(after[host] > before[host] for host in HOSTS)


async def test_who_leaves_leaves_everything_at_once(collector: Callable[[], Leases]) -> None:
    one, two = collector(), collector()
    held, _ = await one.renew(HOSTS)

    await one.leave(held)

    held, share = await two.renew(HOSTS)
    assert (sorted(held), share) == (HOSTS, 5)


async def test_nobody_releases_what_is_another_s(collector: Callable[[], Leases], client: redis.asyncio.Redis) -> None:
    one, two = collector(), collector()
    await one.renew(HOSTS)

    await two.release(HOSTS)

    assert await client.exists(*map(lease_key, HOSTS)) == 5


async def test_a_redis_that_forgot_everything_gives_new_leases(
    collector: Callable[[], Leases], client: redis.asyncio.Redis
) -> None:
    one = collector()
    before, _ = await one.renew(HOSTS)
    await client.flushall()

    after, _ = await one.renew(HOSTS)

    assert all(after[host] > before[host] for host in HOSTS)


async def test_without_hosts_a_collector_is_still_known(
    collector: Callable[[], Leases], client: redis.asyncio.Redis
) -> None:
    assert await collector().renew([]) == ({}, 0)
    assert await client.zcard(COLLECTORS_KEY) == 1

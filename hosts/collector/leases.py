"""Which collector watches which host: leases in Redis, shared out about evenly.

A lease is the key `lease_key(host)` with the value `COLLECTOR:TOKEN` and a time to live. Tokens grow with every lease,
so the database can refuse what a collector writes that lost its lease without noticing (`writer`). A collector that
stops renewing is forgotten after `LEASE_S`, and the others take its hosts at their next round.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterable, Mapping, Sequence

import redis
import redis.asyncio

from vmdash.live.redis import PREFIX, lease_key

COLLECTORS_KEY = f"{PREFIX}:collectors"
"""A sorted set: each collector that is alive, scored by the moment (ms) at which it will be forgotten."""

# Atomic, so that two collectors never take the same host. Answers the even share, then a token (or 0) for each key.
_ROUND = """
local me, ttl = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ttl, me)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local hosts = #KEYS - 1
local share = math.ceil(hosts / redis.call('ZCARD', KEYS[1]))
local answer, held, free = {share}, 0, {}
for i = 1, hosts do
  local lease = redis.call('GET', KEYS[i + 1])
  answer[i + 1] = 0
  if not lease then
    free[#free + 1] = i
  elseif string.sub(lease, 1, #me + 1) == me .. ':' then
    redis.call('PEXPIRE', KEYS[i + 1], ttl)
    answer[i + 1] = tonumber(string.sub(lease, #me + 2))
    held = held + 1
  end
end
for _, i in ipairs(free) do
  if held >= share then break end
  local token = time[1] * 1000000 + time[2] + held
  redis.call('SET', KEYS[i + 1], string.format('%s:%.0f', me, token), 'PX', ttl)
  answer[i + 1] = token
  held = held + 1
end
return answer
"""

_RELEASE = """
for _, key in ipairs(KEYS) do
  local lease = redis.call('GET', key)
  if lease and string.sub(lease, 1, #ARGV[1] + 1) == ARGV[1] .. ':' then redis.call('DEL', key) end
end
"""


class Leases:
    """The leases of this collector."""

    def __init__(self, client: redis.asyncio.Redis, lease_s: float) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._lease_ms = int(lease_s * 1000)
        self._client = client
        self._round = client.register_script(_ROUND)
        self._release = client.register_script(_RELEASE)

    async def renew(self, host_ids: Sequence[int]) -> tuple[dict[int, int], int]:
        """Say that we are alive, renew what we hold and take what is free, up to an even share of `host_ids`.

        Returns the token of each host we hold, and how many that should be: hand over the rest. Raises RedisError.
        """
        keys = [COLLECTORS_KEY, *(lease_key(host_id) for host_id in host_ids)]
        share, *tokens = await self._round(keys=keys, args=[self.name, self._lease_ms])
        return {host_id: token for host_id, token in zip(host_ids, tokens, strict=True) if token}, share

    async def release(self, host_ids: Iterable[int]) -> None:
        """Give these hosts to whoever wants them. Raises RedisError."""
        if keys := [lease_key(host_id) for host_id in host_ids]:
            await self._release(keys=keys, args=[self.name])

    async def leave(self, host_ids: Iterable[int]) -> None:
        """The last thing a collector does: the others share its hosts at once. Raises RedisError."""
        await self.release(host_ids)
        await self._client.zrem(COLLECTORS_KEY, self.name)


def living_collectors(client: redis.Redis) -> int:
    """How many have renewed their leases lately. Raises RedisError."""
    return int(client.zcount(COLLECTORS_KEY, time.time() * 1000, "+inf"))


def surplus(held: Mapping[int, int], share: int) -> list[int]:
    """The hosts to hand over so that newcomers get theirs: those taken last."""
    return sorted(held, key=lambda host_id: held[host_id])[share:]

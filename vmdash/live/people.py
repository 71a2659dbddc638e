"""Who is behind the open pages: asked every second for each of them, so many are answered by one question."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from channels.db import database_sync_to_async
from django.contrib.auth.models import AnonymousUser

from vmdash.access.bearers import Bearer, Key, people_bearing
from vmdash.access.models import User
from vmdash.access.sessions import people_of
from vmdash.live.loops import one_per_loop
from vmdash.live.sight import NOTHING, Sights, sights_of

Present = tuple[User | AnonymousUser, Sights]
"""Who it is, and of what they hear."""


def _present(keys: Collection[Key]) -> dict[Key, Present]:
    found: dict[Key, User] = {}
    found.update(people_of([key for key in keys if isinstance(key, str)]).items())
    found.update(people_bearing(key for key in keys if isinstance(key, Bearer)).items())
    sights = sights_of(found)
    return {key: (person, sights[key]) for key, person in found.items()}


_ask_database = database_sync_to_async(_present)


class People:
    """Asks the database for all that are waited for, one question at a time."""

    def __init__(self) -> None:
        self._waiting: dict[Key, list[asyncio.Future[Present]]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, key: Key | None) -> Present:
        """The person that this session or token belongs to, not before now. Raises what the database raises."""
        if not key:
            return AnonymousUser(), NOTHING
        answer: asyncio.Future[Present] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(answer)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await answer

    async def _ask(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(0)  # others may want to know at the same moment
                waiting, self._waiting = self._waiting, {}
                await self._answer(waiting)
        finally:
            self._asking = None

    async def _answer(self, waiting: dict[Key, list[asyncio.Future[Present]]]) -> None:
        answers = [(key, answer) for key, answers in waiting.items() for answer in answers]
        try:
            people = await _ask_database(list(waiting))
        except Exception as error:
            for _, answer in answers:
                if not answer.done():
                    answer.set_exception(error)
            return
        for key, answer in answers:
            if not answer.done():
                answer.set_result(people.get(key) or (AnonymousUser(), NOTHING))


people = one_per_loop(People)

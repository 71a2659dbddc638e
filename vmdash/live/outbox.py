"""Messages that wait for one browser. A slow one must not make the web process grow."""

from __future__ import annotations

import asyncio
from collections import deque

from vmdash.live.publish import encode

MOST_CHARACTERS = 4 * 1024 * 1024
REST_S = 0.1
"""Figures that come again wait until so long after the last frame, and go in one with others."""


class Outbox:
    """A bounded queue of texts for one asyncio loop.

    When a browser takes too little, everything that waits is dropped and one `reload` message takes
    its place: the page then loads anew what it shows.
    """

    def __init__(self, most_characters: int = MOST_CHARACTERS) -> None:
        self._texts: deque[str] = deque()
        self._characters = 0
        self._most_characters = most_characters
        self._filled = asyncio.Event()
        self._hurry = asyncio.Event()
        self._taken_at = 0.0

    def put(self, text: str, *, calm: bool = False) -> None:
        """Add a text; a `calm` one can wait for others. Never waits."""
        if self._characters + len(text) > self._most_characters:
            self.start_over()
        self._add(text)
        if not calm:
            self._hurry.set()

    def start_over(self) -> None:
        """Drop what waits, and tell the browser to load anew."""
        self._texts.clear()
        self._characters = 0
        self._add(encode({"type": "reload"}))
        self._hurry.set()

    def _add(self, text: str) -> None:
        self._texts.append(text)
        self._characters += len(text)
        self._filled.set()

    async def take(self) -> list[str]:
        """All that waits, in its order, once there is something, and it hurries or enough time has passed."""
        await self._filled.wait()
        if not self._hurry.is_set():
            try:
                async with asyncio.timeout_at(self._taken_at + REST_S):
                    await self._hurry.wait()
            except TimeoutError:
                pass
        self._taken_at = asyncio.get_running_loop().time()
        texts = list(self._texts)
        self._texts.clear()
        self._characters = 0
        self._filled.clear()
        self._hurry.clear()
        return texts

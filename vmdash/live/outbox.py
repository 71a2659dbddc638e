"""Messages that wait for one browser. A slow one must not make the web process grow."""

from __future__ import annotations

import asyncio
from collections import deque

from vmdash.live.publish import encode

MOST_CHARACTERS = 4 * 1024 * 1024


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

    def put(self, text: str) -> None:
        """Add a text. Never waits."""
        if self._characters + len(text) > self._most_characters:
            self.start_over()
        self._texts.append(text)
        self._characters += len(text)
        self._filled.set()

    def start_over(self) -> None:
        """Drop what waits, and tell the browser to load anew."""
        self._texts.clear()
        self._characters = 0
        notice = encode({"type": "reload"})
        self._texts.append(notice)
        self._characters = len(notice)
        self._filled.set()

    async def get(self) -> str:
        """The next text; waits until there is one."""
        while not self._texts:
            self._filled.clear()
            await self._filled.wait()
        text = self._texts.popleft()
        self._characters -= len(text)
        return text

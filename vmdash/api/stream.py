"""The stream of changes for scripts: what open pages hear, for whoever shows a token."""

from __future__ import annotations

from typing import Any

from django.urls import path

from vmdash.access.bearers import Bearer
from vmdash.live.consumers import LiveConsumer


class Bearing:
    """Who comes is whom the header Authorization names. Cookies do not count, so any origin may ask: pages elsewhere
    cannot send that header."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        header = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        return await self._application({**scope, "bearer": Bearer.of(header) or Bearer("")}, receive, send)


stream_urls = [path("api/v1/stream", Bearing(LiveConsumer.as_asgi()))]

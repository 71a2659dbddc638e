"""How much a request may bring. Django writes the whole body to a file before it asks anybody whether it is wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BODY_BYTES = 16 << 20
"""The longest that is taken are alerts, of 8 MiB at most. Volumes come in through the transfer gateway."""
_ANSWER = b"That is too much.\n"


def limited(application: Application, most_bytes: int = MOST_BODY_BYTES) -> Application:
    """The ASGI application, for requests whose body is at most so long; the others get 413 as soon as that is known."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if _announced(scope) > most_bytes:
            await _refuse(send)
            return
        left = most_bytes

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left >= 0:
                return message
            await _refuse(send)
            return {"type": "http.disconnect"}  # nothing of it is looked at

        await application(scope, counted, send)

    return serve


def _announced(scope: Scope) -> int:
    """What the header says; 0 where it says nothing that can be read."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(_ANSWER)), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": _ANSWER})

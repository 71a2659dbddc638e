"""How requests for pages and of the API are worked on."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class Pages(ASGIHandler):
    """A request stays in one thread, from its first middleware to its last.

    Django's own handler begins on the event loop. From there every middleware that is not asynchronous, and the view,
    go to a thread and come back, some dozen times; and each time they wait until the loop, which also serves hundreds
    of open pages, has a moment.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)

"""Addresses of the WebSockets of the web process."""

from django.urls import path

from vmdash.live.consumers import LiveConsumer

websocket_urls = [path("ws/live/", LiveConsumer.as_asgi())]  # type: ignore[arg-type]  # an ASGI application, which URLRouter takes

"""The web process: pages by Django, live updates by Channels."""

import os
import warnings

import django
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vmdash.settings")
django.setup(set_prefix=False)

from vmdash.api.stream import stream_urls  # noqa: E402  (needs the loaded app registry)
from vmdash.limits import limited  # noqa: E402
from vmdash.live.routing import websocket_urls  # noqa: E402
from vmdash.main.handler import Pages  # noqa: E402

# WhiteNoise reads files block by block in a thread, which is meant: they are small.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

of_pages = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urls)))  # type: ignore[arg-type]  # the stubs want their own class
application = ProtocolTypeRouter(
    {
        "http": limited(Pages()),  # type: ignore[arg-type]  # the stubs want their own types
        "websocket": URLRouter([*stream_urls, re_path("", of_pages)]),  # type: ignore[list-item]  # as above
    }
)

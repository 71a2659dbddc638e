"""manage.py console_gateway: the process that carries consoles between browsers and hosts."""

from __future__ import annotations

import logging
import socket
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from domains.consoles.gateway.server import ConsoleGateway


class Command(BaseCommand):
    help = "Turn one-time tickets into consoles: websockify on VMDASH_CONSOLE_LISTEN. Ends with Ctrl-C or SIGTERM."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        address, port = settings.CONSOLE_LISTEN
        logging.getLogger("websocket").setLevel(logging.WARNING)  # websockify's own chatter
        try:
            listener = socket.create_server(
                (address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=100
            )
        except OSError as error:
            raise CommandError(
                f"The console gateway cannot listen on {address} port {port}: {error.strerror}. "
                "Set VMDASH_CONSOLE_LISTEN to a free address and port."
            ) from error
        with listener:
            ConsoleGateway(listener, most=settings.CONSOLE_SESSIONS).start_server()

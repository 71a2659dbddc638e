"""manage.py transfer_gateway: the process that carries the content of volumes between browsers and hosts."""

from __future__ import annotations

import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from storage.transfers.server import TransferGateway


class Command(BaseCommand):
    help = "Carry uploads and downloads of volumes: HTTP on VMDASH_TRANSFER_LISTEN. Ends with Ctrl-C or SIGTERM."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        address, port = settings.TRANSFER_LISTEN
        try:
            gateway = TransferGateway((address, port), most=settings.TRANSFERS)
        except OSError as error:
            raise CommandError(
                f"The transfer gateway cannot listen on {address} port {port}: {error.strerror}. "
                "Set VMDASH_TRANSFER_LISTEN to a free address and port."
            ) from error
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with gateway:
            try:
                gateway.serve_forever()
            except KeyboardInterrupt:
                return

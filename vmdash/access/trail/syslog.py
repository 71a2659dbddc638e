"""The audit trail to a syslog server (RFC 5424), where nobody who gets into the database can change it."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Sequence
from datetime import UTC
from logging.handlers import SysLogHandler
from urllib.parse import urlsplit

from django.conf import settings

from vmdash.access.models import AuditEntry, AuditHead
from vmdash.access.trail.chain import content_of

AT_ONCE = 500
PATIENCE_S = 5
_ID = "vmdash@32473"
"""Structured data need the number of an enterprise; this one stands for examples (RFC 5612) and is nobody's."""


def send_new() -> int:
    """Send what is chained and was not sent yet, in order. Returns how many. Raises OSError; the rest is sent next
    time. Should this process be killed in between, some are sent twice: their numbers tell."""
    if not settings.SYSLOG_URL:
        return 0
    sent = 0
    while some := _send_some():
        sent += some
    return sent


def _send_some() -> int:
    head = AuditHead.objects.filter(pk=AuditHead.ONLY).first()
    if head is None:
        return 0
    entries = list(AuditEntry.objects.filter(number__gt=head.sent_number).order_by("number")[:AT_ONCE])
    if not entries:
        return 0
    _send(entries)
    ours = AuditHead.objects.filter(pk=AuditHead.ONLY, sent_number=head.sent_number)
    return len(entries) if ours.update(sent_number=entries[-1].number) else 0


def _send(entries: Sequence[AuditEntry]) -> None:
    handler = _handler()
    try:
        for entry in entries:
            level = logging.WARNING if entry.refused or entry.failed else logging.INFO
            handler.handle(
                logging.makeLogRecord({"levelno": level, "levelname": logging.getLevelName(level), "entry": entry})
            )
    finally:
        handler.close()


class _Format(logging.Formatter):
    """All of a message behind its priority, which the handler puts in front."""

    def __init__(self, end: str) -> None:
        super().__init__()
        self._end = end

    def format(self, record: logging.LogRecord) -> str:
        entry: AuditEntry = record.entry  # type: ignore[attr-defined]
        at = entry.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        told = content_of(entry) | {"hash": entry.hash}
        data = " ".join(f'{name}="{_escaped(str(value))}"' for name, value in told.items() if value != "")
        words = " ".join(part for part in (entry.user_name or "vmdash", entry.action, entry.target_name) if part)
        where = socket.gethostname()[:255] or "-"
        return f"1 {at} {where} vmdash {os.getpid()} {entry.action[:32] or '-'} [{_ID} {data}] \ufeff{words}{self._end}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


class _Handler(SysLogHandler):
    """One that waits no longer than `PATIENCE_S`, and says when it cannot send."""

    append_nul = False

    def createSocket(self) -> None:
        if self.socktype == socket.SOCK_STREAM and isinstance(self.address, tuple):
            self.socket = socket.create_connection(self.address, timeout=PATIENCE_S)
            self.unixsocket = False
            return
        super().createSocket()

    def handleError(self, record: logging.LogRecord) -> None:
        raise  # called by the handler while it handles what went wrong


def _handler() -> SysLogHandler:
    url = urlsplit(settings.SYSLOG_URL)
    stream = url.scheme == "tcp"
    address = url.path if url.scheme == "unix" else (url.hostname or "", url.port or (601 if stream else 514))
    handler = _Handler(
        address,
        SysLogHandler.LOG_AUTHPRIV,
        None if url.scheme == "unix" else socket.SOCK_STREAM if stream else socket.SOCK_DGRAM,
    )
    handler.setFormatter(_Format("\n" if stream else ""))
    return handler

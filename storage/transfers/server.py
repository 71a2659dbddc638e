"""The transfer gateway: a small HTTP server that carries the content of volumes between browsers and hosts.

A thread for each transfer, no more than a few MiB of memory each: what comes in goes out before more is read.

    PUT /upload/ID              Authorization: Ticket TOKEN, Upload-Offset: N; the body is the file from byte N on
    GET /download/TOKEN/NAME    with Range, as browsers and download managers resume

Browsers show who they are with their cookie. Scripts send `Authorization: Bearer` with the token that the ticket was
given to, and the ticket of an upload as `Upload-Ticket`.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote

import orjson
import redis
from django.db import DatabaseError, connections

from hosts.connect import connected
from storage.transfers import admission, receiving, sending
from storage.transfers.admission import Refused
from vmdash.access import origin
from vmdash.access.audit import record
from vmdash.exceptions import VmdashError

log = logging.getLogger(__name__)

IDLE_S = 60
"""A browser that sends or takes nothing for so long is gone."""
LINGER_S = 10
_UPLOAD = re.compile(r"/upload/(?P<id>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})/?\Z")
_DOWNLOAD = re.compile(r"/download/(?P<token>[\w-]{20,100})/(?P<name>[^/?]+)\Z")


class TransferHandler(BaseHTTPRequestHandler):
    """One request. Each connection serves one, so a stuck one costs one thread and nothing else."""

    server: TransferGateway
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    server_version = "vmdash"
    sys_version = ""

    def do_OPTIONS(self) -> None:
        self._answer(self._preflight)

    def do_PUT(self) -> None:
        self._answer(self._upload)

    def do_GET(self) -> None:
        self._answer(self._download)

    do_HEAD = do_GET

    def _answer(self, respond: Callable[[], None]) -> None:
        self.close_connection = True
        self._begun = False
        origin.begin(self.client_address[0], self.headers.get_all("X-Forwarded-For", []))
        try:
            if self.command != "OPTIONS" and not self.server.places.acquire(blocking=False):
                raise Refused("Too many files are on their way. Try again later.", HTTPStatus.SERVICE_UNAVAILABLE)
            try:
                respond()
            finally:
                if self.command != "OPTIONS":
                    self.server.places.release()
        except Refused as refused:
            log.info("Refused %s: %s", self.client_address[0], refused.words)
            self._say(refused.status, error=refused.words, **refused.fields)
        except VmdashError as error:
            log.info("A transfer failed: %s %s", error, error.detail)
            self._say(HTTPStatus.BAD_GATEWAY, error=str(error))
        except (DatabaseError, redis.RedisError) as error:
            log.error("A transfer cannot be checked: %s", error)
            self._say(HTTPStatus.SERVICE_UNAVAILABLE, error="vmdash cannot check just now whether you may.")
        except OSError as error:
            log.debug("%s: the connection was lost: %s", self.client_address[0], error)
        finally:
            connections.close_all()

    # Uploads

    def _preflight(self) -> None:
        origin = admission.check_origin(self.headers.get("Origin", ""))
        self.send_response(HTTPStatus.NO_CONTENT)
        self._allow(origin)
        self.send_header("Access-Control-Allow-Methods", "PUT")
        self.send_header("Access-Control-Allow-Headers", "authorization, upload-offset, content-type")
        self.send_header("Access-Control-Max-Age", "600")
        self.send_header("Connection", "close")
        self.end_headers()

    def _upload(self) -> None:
        match = _UPLOAD.match(self.path)
        length, offset = self.headers.get("Content-Length", ""), self.headers.get("Upload-Offset", "")
        if not match or not length.isdecimal() or not offset.isdecimal():
            raise Refused("This is not how files are sent.", HTTPStatus.BAD_REQUEST)
        upload = admission.admit_upload(match["id"], self._asked())
        if int(offset) != upload.received_bytes or int(offset) + int(length) > upload.size_bytes:
            raise Refused("The file goes on elsewhere.", HTTPStatus.CONFLICT, received=upload.received_bytes)
        received = receiving.receive(upload, self._read, int(offset) + int(length))
        self._say(HTTPStatus.OK, received=received, size=upload.size_bytes)

    def _read(self, into: memoryview) -> int:
        """As much as fits, or what has come before the browser went away."""
        filled = 0
        try:
            while filled < len(into):
                count = self.rfile.readinto1(into[filled:])
                if not count:
                    break
                filled += count
        except OSError:
            log.debug("%s went away while sending", self.client_address[0])
        return filled

    # Downloads

    def _download(self) -> None:
        match = _DOWNLOAD.match(self.path)
        if not match:
            raise Refused("There is nothing at this address.", HTTPStatus.NOT_FOUND)
        user, row = admission.admit_download(match["token"], self._asked())
        with connected(row.pool.host, read_only=False) as connection:
            volume = connection.pool(row.pool.name).volume(row.name)
            content = sending.content_of(volume)
            asked = self.headers.get("Range", "")
            if self.headers.get("If-Range", content.etag) != content.etag:
                asked = ""
            try:
                part = sending.part(asked, content.length)
            except sending.RangeRefused:
                self._head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, f"bytes */{content.length}")
                return
            begin, end = part or (0, content.length)
            if self.command == "GET" and not begin:
                record(
                    user=user,
                    action="volume.download",
                    target_kind="volume",
                    target_id=str(row.pk),
                    target_name=row.name,
                    detail=f"Download {row.name} from {row.pool}",
                )
            self._begun = True
            self._head(
                HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK,
                end - begin,
                f"bytes {begin}-{end - 1}/{content.length}" if part else "",
                etag=content.etag,
                name=unquote(match["name"]),
            )
            if self.command == "GET":
                sending.send(volume, begin, end, self.connection.sendall)

    def _head(self, status: HTTPStatus, length: int, content_range: str, *, etag: str = "", name: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Cache-Control", "private, no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if content_range:
            self.send_header("Content-Range", content_range)
        if etag:
            self.send_header("ETag", etag)
        if name:
            self.send_header("Content-Disposition", f"attachment; filename*=UTF-8''{quote(name, safe='')}")
        self.send_header("Connection", "close")
        self.end_headers()

    # Both

    def _asked(self) -> dict[str, str]:
        """The headers that tell who it is; `Cookie` and others may come in whatever case."""
        names = ("Authorization", "Cookie", "Origin", "Upload-Ticket")
        return {name: self.headers.get(name, "") for name in names}

    def _say(self, status: HTTPStatus, **fields: Any) -> None:
        """A JSON answer, unless the answer has begun already: then only an end that comes too early tells."""
        if self._begun:
            return
        body = orjson.dumps(fields)
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Connection", "close")
            with contextlib.suppress(Refused):
                self._allow(admission.check_origin(self.headers.get("Origin", "")))
            self.end_headers()
            self.wfile.write(body)
            self._linger()
        except OSError as error:
            log.debug("The browser did not wait for an answer: %s", error)

    def _linger(self) -> None:
        """Closing over unread input would destroy our answer on its way: read for a while what still comes."""
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(LINGER_S)
        end = time.monotonic() + LINGER_S
        while time.monotonic() < end and self.connection.recv(1 << 18):
            pass

    def _allow(self, origin: str) -> None:
        self.send_header("Access-Control-Allow-Origin", origin)
        self.send_header("Access-Control-Allow-Credentials", "true")
        self.send_header("Vary", "Origin")

    def log_message(self, format: str, *args: Any) -> None:
        log.debug("%s: " + format, self.client_address[0], *args)


class TransferGateway(ThreadingHTTPServer):
    """`most` transfers at once; who comes later is told so."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self, listen: tuple[str, int], *, most: int) -> None:
        self.places = threading.BoundedSemaphore(most)
        self.address_family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
        super().__init__(listen, TransferHandler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.exception("A transfer failed")

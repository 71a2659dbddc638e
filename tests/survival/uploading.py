"""A browser that sends a file, and goes on with it when something was in the way."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import redis
from django.conf import settings
from django.db import OperationalError, connections
from django.test import Client

from storage import upload_services
from storage.models import Upload
from tests.polling import poll
from tests.storage.conftest import Gateway
from tests.survival.picture import Picture
from tests.survival.stage import MIB, Stage
from tests.survival.volumes import VolumeDeed
from vmdash.jobs.models import Job

PAGE = "http://127.0.0.1:8000"
RATE_MIB_S = 8
CONTENT = os.urandom(12 * MIB)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class SendFile(VolumeDeed):
    name, own, home = "upload of a file", "uploaded", "kvm2"
    gateway: Gateway | None = None
    """Whoever runs rounds starts it."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._browser = Client()
        self._browser.force_login(stage.user)

    def is_ready(self, now: Picture) -> bool:
        return not now.of(self.own).files

    def make_ready(self) -> None:
        pass

    def ask(self, now: Picture) -> Job:
        upload = upload_services.begin(
            pool=self.stage.pool(self.home),
            name=f"{self.own}.img",
            size_bytes=len(CONTENT),
            user=self.stage.user,
            file_name="file.img",
            sha256=SHA256,
        )
        threading.Thread(target=self._send, args=[upload], daemon=True).start()
        assert upload.job_id is not None
        return Job.objects.get(pk=upload.job_id)

    def done(self, before: Picture, job: Job) -> Picture:
        return before.of(self.own).changed(add=[self.file(f"{self.own}.img")])

    def check(self, job: Job, now: Picture, *, came_about: bool) -> None:
        if came_about:
            assert self.stage.path(self.file(f"{self.own}.img")).read_bytes() == CONTENT, "another content has arrived"
        assert Upload.objects.get(job_id=job.pk).state != "open", "it would still take content"

    def _send(self, upload: Upload) -> None:
        try:
            poll(lambda: self._is_through(upload), 120, "the upload to end")
        finally:
            connections.close_all()

    def _is_through(self, upload: Upload) -> bool:
        try:
            upload.refresh_from_db()
        except Upload.DoesNotExist:  # the test has ended
            return True
        except OperationalError:
            connections.close_all()
            return False
        if upload.state == Upload.State.OPEN:
            with suppress(httpx.HTTPError, OperationalError, redis.RedisError, OSError):  # as the page does
                self._put(upload)
        return upload.state in (Upload.State.RECEIVED, Upload.State.CLOSED)

    def _put(self, upload: Upload) -> None:
        assert self.gateway is not None
        cookie = {settings.SESSION_COOKIE_NAME: self._browser.cookies[settings.SESSION_COOKIE_NAME].value}
        token = upload_services.upload_ticket(upload=upload, session_key=next(iter(cookie.values())))
        begin = upload.received_bytes
        headers = {
            "Authorization": f"Ticket {token}",
            "Upload-Offset": str(begin),
            "Origin": PAGE,
            "Content-Length": str(len(CONTENT) - begin),
        }
        url = f"{self.gateway.url}/upload/{upload.pk}"
        httpx.put(url, content=_slowly(CONTENT[begin:]), headers=headers, cookies=cookie, timeout=20)


def _slowly(content: bytes) -> Iterator[bytes]:
    """As fast as a line that carries so much."""
    piece = MIB // 4
    began = time.monotonic()
    for start in range(0, len(content), piece):
        due = began + start / (RATE_MIB_S * MIB)
        poll(lambda due=due: time.monotonic() >= due, 30, "the line to be free")  # type: ignore[misc]
        yield content[start : start + piece]

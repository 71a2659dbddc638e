"""Files from a browser into a volume: through the gateway, with a job that watches."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import httpx
import pytest

from storage import upload_services
from storage.models import Pool, Upload, Volume
from tests.polling import poll
from tests.storage.conftest import Gateway
from tests.storage_host import StorageHost
from vmdash.access.bearers import Bearer, digest_of
from vmdash.access.models import User
from vmdash.api import tokens
from vmdash.api.models import TokenScope
from vmdash.exceptions import VmdashError
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]

MIB = 1 << 20
CONTENT = os.urandom(3 * MIB) + bytes(4 * MIB) + os.urandom(MIB + 12345)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PAGE = "http://127.0.0.1:8000"


@pytest.fixture
def pool(storage_host: StorageHost) -> Pool:
    return storage_host.pool_row()


def begun(pool: Pool, user: User, content: bytes = CONTENT, sha256: str = "") -> Upload:
    """An upload whose volume is there."""
    upload = upload_services.begin(
        pool=pool, name="up.raw", size_bytes=len(content), user=user, file_name="up.raw", sha256=sha256
    )
    poll(lambda: Upload.objects.filter(pk=upload.pk, state="open").exists(), 20, "the volume to be made")
    return upload


def send(
    gateway: Gateway,
    upload: Upload,
    cookie: dict[str, str],
    body: bytes | Iterator[bytes],
    offset: int = 0,
    length: int | None = None,
) -> httpx.Response:
    token = upload_services.upload_ticket(upload=upload, session_key=next(iter(cookie.values())))
    headers = {"Authorization": f"Ticket {token}", "Upload-Offset": str(offset), "Origin": PAGE}
    if length is not None:
        headers["Content-Length"] = str(length)
    return httpx.put(f"{gateway.url}/upload/{upload.pk}", content=body, headers=headers, cookies=cookie, timeout=30)


def job_of(upload: Upload) -> Job:
    upload.refresh_from_db()
    assert upload.job_id
    return Job.objects.get(pk=upload.job_id)


def ended(upload: Upload) -> Job:
    poll(lambda: job_of(upload).finished_at, 30, "the job to end")
    return job_of(upload)


def stored(storage_host: StorageHost) -> bytes:
    return (storage_host.pool_path() / "up.raw").read_bytes()


def broken_off(upload: Upload, body: bytes) -> Iterator[bytes]:
    """A browser that loses its connection on the way."""
    yield body
    raise ConnectionError


def test_a_file_arrives_with_its_checksum(
    storage_host: StorageHost, pool: Pool, operator: User, gateway: Gateway, cookie: dict[str, str]
) -> None:
    upload = begun(pool, operator, sha256=SHA256.upper())
    answer = send(gateway, upload, cookie, CONTENT)
    assert (answer.status_code, answer.json()) == (200, {"received": len(CONTENT), "size": len(CONTENT)})
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    job = ended(upload)
    assert (job.state, job.error, job.result) == ("succeeded", "", {"sha256": SHA256})
    assert (job.done_bytes, job.total_bytes) == (len(CONTENT), len(CONTENT)) or job.done_bytes is not None
    assert stored(storage_host) == CONTENT
    assert (storage_host.pool_path() / "up.raw").stat().st_blocks * 512 < len(CONTENT), "zeros take no space"
    assert Volume.objects.get(pool=pool).capacity_bytes >= len(CONTENT)


def test_another_checksum_than_expected_leaves_nothing(
    storage_host: StorageHost, pool: Pool, operator: User, gateway: Gateway, cookie: dict[str, str]
) -> None:
    upload = begun(pool, operator, sha256="0" * 64)
    assert send(gateway, upload, cookie, CONTENT).status_code == 200
    assert ended(upload).error.startswith("up.raw did not arrive as it should: its SHA-256 is another than expected.")
    assert storage_host.names() == set()


def test_a_script_sends_a_file_with_its_token_from_anywhere(
    storage_host: StorageHost, pool: Pool, operator: User, gateway: Gateway
) -> None:
    upload, text = begun(pool, operator), tokens.make(user=operator, name="images", scope=TokenScope.ACT, until=None)[1]
    ticket = upload_services.upload_ticket(upload=upload, session_key=Bearer(digest_of(text)))
    headers = {"Authorization": f"Bearer {text}", "upload-ticket": ticket, "Upload-Offset": "0"}
    answer = httpx.put(f"{gateway.url}/upload/{upload.pk}", content=CONTENT, headers=headers, timeout=30)
    assert (answer.status_code, answer.json()) == (200, {"received": len(CONTENT), "size": len(CONTENT)})
    assert ended(upload).state == "succeeded"
    assert stored(storage_host) == CONTENT


@pytest.mark.parametrize("killed", [False, True])
def test_a_broken_upload_goes_on_where_it_was(
    storage_host: StorageHost, pool: Pool, operator: User, gateway: Gateway, cookie: dict[str, str], killed: bool
) -> None:
    upload = begun(pool, operator, sha256=SHA256)
    with pytest.raises((httpx.HTTPError, ConnectionError)):
        send(gateway, upload, cookie, broken_off(upload, CONTENT[: 2 * MIB + 77]), length=len(CONTENT))
    poll(lambda: Upload.objects.filter(pk=upload.pk, received_bytes=2 * MIB + 77).exists(), 20, "what came to be kept")
    if killed:  # and with it what it knew of the checksum
        gateway.kill()
        gateway.begin()
    refused = send(gateway, upload, cookie, CONTENT)
    assert (refused.status_code, refused.json()["received"]) == (409, 2 * MIB + 77)
    assert send(gateway, upload, cookie, CONTENT[2 * MIB + 77 :], 2 * MIB + 77).status_code == 200
    job = ended(upload)
    assert (job.state, job.error, job.result) == ("succeeded", "", {"sha256": SHA256})
    assert stored(storage_host) == CONTENT
    assert job.lines.filter(text__startswith="Reading it back").exists() is killed


def test_a_cancelled_upload_leaves_nothing_and_takes_nothing_more(
    storage_host: StorageHost, pool: Pool, operator: User, gateway: Gateway, cookie: dict[str, str]
) -> None:
    upload = begun(pool, operator)
    assert send(gateway, upload, cookie, CONTENT[:MIB]).json()["received"] == MIB
    upload.refresh_from_db()
    jobs.cancel(job=job_of(upload), user=operator)
    assert ended(upload).state == "cancelled"
    assert storage_host.names() == set()
    assert send(gateway, upload, cookie, CONTENT[MIB:], MIB).status_code == 409


def test_who_has_no_ticket_sends_nothing(
    pool: Pool, operator: User, administrator: User, gateway: Gateway, cookie: dict[str, str]
) -> None:
    upload = begun(pool, operator)
    key = next(iter(cookie.values()))

    def answer(token: str, cookies: dict[str, str] = cookie, origin: str = PAGE) -> httpx.Response:
        headers = {"Authorization": f"Ticket {token}", "Upload-Offset": "0", "Origin": origin}
        return httpx.put(f"{gateway.url}/upload/{upload.pk}", content=b"x", headers=headers, cookies=cookies)

    def ticket(session: str = key) -> str:
        return upload_services.upload_ticket(upload=upload, session_key=session)

    assert answer("no such ticket").status_code == 403
    assert answer(ticket(), cookies={}).status_code == 403, "without the session that asked"
    assert answer(ticket("another session")).status_code == 403
    assert answer(ticket(), origin="https://evil.example").status_code == 403
    token = ticket()
    assert answer(token).status_code == 200
    assert answer(token).status_code == 403, "a ticket is used once"
    operator.role = ""
    operator.save()
    assert answer(ticket()).status_code == 403
    jobs.cancel(job=job_of(upload), user=administrator)
    ended(upload)


def test_the_memory_does_not_grow_with_the_file(
    storage_host: StorageHost, pool: Pool, operator: User, gateway: Gateway, cookie: dict[str, str]
) -> None:
    block = os.urandom(MIB)
    upload = begun(pool, operator, content=block * 200)
    before = gateway.rss_bytes

    def body() -> Iterator[bytes]:
        for _ in range(200):
            yield block

    assert send(gateway, upload, cookie, body(), length=200 * MIB).status_code == 200
    assert gateway.rss_bytes - before < 32 * MIB
    assert ended(upload).state == "succeeded"


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"sha256": "abc"}, "no SHA-256"),
        ({"size_bytes": 0}, "The file is empty"),
        ({"size_bytes": 1 << 60}, "not enough space"),
        ({"name": "a/b"}, "cannot be the name"),
    ],
)
def test_what_cannot_be_is_refused_in_words(pool: Pool, operator: User, wish: dict[str, object], words: str) -> None:
    with pytest.raises(VmdashError, match=words):
        upload_services.begin(**{"pool": pool, "name": "a", "size_bytes": 1, "user": operator, **wish})  # type: ignore[arg-type]

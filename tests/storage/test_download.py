"""Volumes to a browser, whole or from where it broke off."""

from __future__ import annotations

import httpx
import pytest

from storage import upload_services
from storage.models import Pool, Volume
from storage.transfers.sending import RangeRefused, part
from storage.volume_rows import reread
from tests.storage.conftest import Gateway
from tests.storage_host import StorageHost
from vmdash.access.bearers import Bearer, digest_of
from vmdash.access.models import User
from vmdash.api import tokens
from vmdash.api.models import TokenScope

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1 << 20


@pytest.fixture
def volume(storage_host: StorageHost) -> Volume:
    pool: Pool = storage_host.pool_row()
    storage_host.disk("a.raw", "write -P 7 1M 3M", "write -P 9 20M 1M", format="raw", size="32M")
    reread(storage_host.connection, pool, "a.raw")
    return Volume.objects.get()


@pytest.fixture
def address(volume: Volume, operator: User, gateway: Gateway, cookie: dict[str, str]) -> str:
    token = upload_services.download_ticket(volume=volume, user=operator, session_key=next(iter(cookie.values())))
    return f"{gateway.url}/download/{token}/a%20b.raw"


def test_a_volume_is_fetched_as_it_is(storage_host: StorageHost, address: str, cookie: dict[str, str]) -> None:
    answer = httpx.get(address, cookies=cookie)
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''a%20b.raw"
    assert answer.content == (storage_host.pool_path() / "a.raw").read_bytes()


def test_it_is_resumed_with_the_same_address(storage_host: StorageHost, address: str, cookie: dict[str, str]) -> None:
    content = (storage_host.pool_path() / "a.raw").read_bytes()
    etag = httpx.head(address, cookies=cookie).headers["ETag"]
    rest = httpx.get(address, cookies=cookie, headers={"Range": f"bytes={20 * MIB + 5}-", "If-Range": etag})
    assert (rest.status_code, rest.headers["Content-Range"]) == (206, f"bytes {20 * MIB + 5}-{32 * MIB - 1}/{32 * MIB}")
    assert rest.content == content[20 * MIB + 5 :]
    changed = httpx.get(address, cookies=cookie, headers={"Range": "bytes=5-", "If-Range": '"another"'})
    assert (changed.status_code, len(changed.content)) == (200, 32 * MIB)
    beyond = httpx.get(address, cookies=cookie, headers={"Range": f"bytes={32 * MIB}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{32 * MIB}")


def test_the_address_is_worth_nothing_to_others(address: str, operator: User, cookie: dict[str, str]) -> None:
    assert httpx.get(address).status_code == 403
    assert httpx.get(address.replace("download/", "download/x"), cookies=cookie).status_code == 403
    operator.role = "viewer"
    operator.save()
    answer = httpx.get(address, cookies=cookie)
    assert (answer.status_code, answer.json()) == (403, {"error": "You may not change storage pools and volumes."})


def test_a_script_fetches_it_with_its_token(
    storage_host: StorageHost, volume: Volume, operator: User, gateway: Gateway
) -> None:
    text = tokens.make(user=operator, name="backup", scope=TokenScope.ACT, until=None)[1]
    token = upload_services.download_ticket(volume=volume, user=operator, session_key=Bearer(digest_of(text)))
    address = f"{gateway.url}/download/{token}/a.raw"
    answer = httpx.get(address, headers={"authorization": f"Bearer {text}"})
    assert (answer.status_code, answer.content) == (200, (storage_host.pool_path() / "a.raw").read_bytes())
    assert httpx.get(address, headers={"Authorization": "Bearer vmdash_other"}).status_code == 403


@pytest.mark.parametrize(
    ("header", "expected"),
    [("", None), ("bytes=0-9", (0, 10)), ("bytes=5-", (5, 100)), ("bytes=-7", (93, 100)), ("bytes=0-1,3-4", None)],
)
def test_ranges(header: str, expected: tuple[int, int] | None) -> None:
    assert part(header, 100) == expected


def test_a_range_beyond_the_end() -> None:
    with pytest.raises(RangeRefused):
        part("bytes=100-", 100)

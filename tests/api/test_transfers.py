"""Uploads and downloads for scripts: tickets that count at the transfer gateway with the token they were given to, and
with nothing else."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client

from storage.models import Image, Pool, Upload, Volume
from storage.transfers.admission import Refused, admit_download, admit_upload
from tests.api.caller import Caller
from tests.factories import PoolFactory, UserFactory, VolumeFactory
from vmdash.access.models import User
from vmdash.api import tokens
from vmdash.api.models import TokenScope
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

SIZE = 1000
FILE = {"file_name": "disk.raw", "size_bytes": SIZE}


@pytest.fixture
def pool() -> Pool:
    return PoolFactory.create(name="images", host__name="kvm1")


@pytest.fixture
def upload(calls: Caller, pool: Pool) -> Upload:
    """Begun by the script, and its volume is there."""
    answer = calls.post("/pools/kvm1/images/uploads", FILE)
    assert answer.status_code == 202
    Upload.objects.update(state=Upload.State.OPEN)
    return Upload.objects.get(pk=answer.json()["id"])


def sent_by(calls: Caller, upload: Upload) -> dict[str, str]:
    """What the script sends to the gateway, with the ticket that it got."""
    answer = calls.post(f"/uploads/{upload.pk}/ticket")
    assert answer.status_code == 200
    assert answer.json()["url"].endswith(f"/upload/{upload.pk}")
    return {"Authorization": f"Bearer {calls.text}", "Upload-Ticket": answer.json()["ticket"]}


def another_token_of(user: User, scope: TokenScope = TokenScope.ACT) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens.make(user=user, name='other', scope=scope, until=None)[1]}"}


def test_a_script_begins_an_upload_and_reads_how_far_it_is(calls: Caller, pool: Pool) -> None:
    told = calls.post("/pools/kvm1/images/uploads", {**FILE, "name": "web1.raw", "sha256": "A" * 64}).json()
    assert (told["host"], told["pool"], told["volume"], told["state"]) == ("kvm1", "images", "web1.raw", "preparing")
    assert (told["size_bytes"], told["received_bytes"], told["sha256_expected"]) == (SIZE, 0, "a" * 64)
    assert calls.get(f"/jobs/{told['job']}").json()["kind"] == "volume.upload"
    assert calls.get(f"/uploads/{told['id']}").json() == told
    assert [one["id"] for one in calls.get("/uploads").json()] == [told["id"]]


def test_the_volume_is_called_as_the_file_unless_told_otherwise(calls: Caller, pool: Pool) -> None:
    assert calls.post("/pools/kvm1/images/uploads", FILE).json()["volume"] == "disk.raw"


def test_the_same_upload_is_begun_once(calls: Caller, pool: Pool) -> None:
    first, again = (
        calls.post("/pools/kvm1/images/uploads", FILE, **{"Idempotency-Key": "backup"}).json() for _ in range(2)
    )
    assert first == again
    assert Upload.objects.count() == Job.objects.count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"size_bytes": 0},
        {"size_bytes": 1 << 60},
        {"sha256": "abc"},
        {"file_name": ""},
        {"name": "a/b"},
        {"colour": "red"},
    ],
)
def test_what_cannot_be_taken_begins_nothing(calls: Caller, pool: Pool, wrong: dict[str, Any]) -> None:
    assert calls.post("/pools/kvm1/images/uploads", FILE | wrong).status_code in (409, 422)
    assert not Upload.objects.exists()
    assert not Job.objects.exists()


def test_there_is_no_ticket_before_the_volume_is_there(calls: Caller, pool: Pool) -> None:
    upload = calls.post("/pools/kvm1/images/uploads", FILE).json()
    answer = calls.post(f"/uploads/{upload['id']}/ticket")
    assert (answer.status_code, answer.json()["state"]) == (202, "preparing")
    assert "ticket" not in answer.json()


def test_the_gateway_takes_the_file_from_the_script_that_has_the_ticket(calls: Caller, upload: Upload) -> None:
    Upload.objects.update(received_bytes=400)
    told = calls.post(f"/uploads/{upload.pk}/ticket").json()
    assert (told["offset"], told["size_bytes"]) == (400, SIZE)
    assert admit_upload(str(upload.pk), sent_by(calls, upload)) == upload


def test_a_ticket_for_an_upload_counts_once(calls: Caller, upload: Upload) -> None:
    sent = sent_by(calls, upload)
    admit_upload(str(upload.pk), sent)
    with pytest.raises(Refused, match="used already"):
        admit_upload(str(upload.pk), sent)


def test_another_token_of_the_same_person_sends_nothing(calls: Caller, upload: Upload, operator: User) -> None:
    with pytest.raises(Refused, match="another person or another sign-in"):
        admit_upload(str(upload.pk), sent_by(calls, upload) | another_token_of(operator))


def test_a_browser_sends_nothing_with_the_ticket_of_a_script(
    calls: Caller, upload: Upload, operator_client: Client
) -> None:
    ticket = sent_by(calls, upload)["Upload-Ticket"]
    cookie = operator_client.cookies[settings.SESSION_COOKIE_NAME].value
    browser = {
        "Authorization": f"Ticket {ticket}",
        "Cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}",
        "Origin": "http://127.0.0.1:8000",
    }
    with pytest.raises(Refused, match="another person or another sign-in"):
        admit_upload(str(upload.pk), browser)


def test_a_token_without_a_ticket_sends_nothing(calls: Caller, upload: Upload) -> None:
    with pytest.raises(Refused) as refused:
        admit_upload(str(upload.pk), {"Authorization": f"Bearer {calls.text}"})
    assert refused.value.status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("lost", ["token", "role"])
def test_whoever_lost_the_right_sends_nothing(calls: Caller, upload: Upload, operator: User, lost: str) -> None:
    sent = sent_by(calls, upload)
    if lost == "token":
        tokens.withdraw(token=calls.token, user=operator)
    else:
        User.objects.filter(pk=operator.pk).update(role="viewer")
    with pytest.raises(Refused):
        admit_upload(str(upload.pk), sent)


def test_an_upload_is_cancelled(calls: Caller, upload: Upload) -> None:
    answer = calls.post(f"/uploads/{upload.pk}/cancel")
    assert (answer.status_code, answer.json()["id"]) == (202, str(upload.job_id))
    assert Job.objects.get().state == Job.State.CANCELLED
    assert calls.post(f"/uploads/{upload.pk}/cancel").status_code == 409


def test_uploads_of_others_are_not_found(upload: Upload, administrator: User) -> None:
    other = Caller(administrator)
    assert other.get("/uploads").json() == []
    assert other.get(f"/uploads/{upload.pk}").status_code == 404
    for what in ("ticket", "cancel"):
        assert other.post(f"/uploads/{upload.pk}/{what}").status_code == 404
    assert Job.objects.get().state == Job.State.QUEUED


def test_an_image_is_sent_into_the_library(calls: Caller, pool: Pool) -> None:
    wish = {"host": "kvm1", "pool": "images", "file_name": "debian.iso", "size_bytes": SIZE}
    answer = calls.post("/uploads/images", {**wish, "image_name": "Debian", "kind": "iso"})
    assert (answer.status_code, answer.json()["volume"]) == (202, "debian.iso")
    image = Image.objects.get()
    assert (image.name, image.kind, image.format) == ("Debian", "iso", "iso")
    wrong = {**wish, "file_name": "other.iso", "image_name": "Other", "kind": "iso", "sha256": "a" * 70}
    assert calls.post("/uploads/images", wrong).status_code == 422
    assert Image.objects.count() == Upload.objects.count() == 1


def test_a_volume_is_fetched_by_the_script_that_asked_again_and_again(
    calls: Caller, pool: Pool, operator: User
) -> None:
    volume: Volume = VolumeFactory.create(name="a b.raw", pool=pool)
    answer = calls.post("/pools/kvm1/images/volumes/a%20b.raw/download")
    assert answer.status_code == 200
    ticket, name = urlsplit(answer.json()["url"]).path.removeprefix("/download/").split("/")
    assert name == "a%20b.raw"
    for _ in range(2):
        assert admit_download(ticket, {"Authorization": f"Bearer {calls.text}"}) == (operator, volume)
    with pytest.raises(Refused):
        admit_download(ticket, another_token_of(operator))
    with pytest.raises(Refused):
        admit_download(ticket, {})


@pytest.mark.parametrize(
    "path", ["/pools/kvm1/images/uploads", "/uploads/images", "/pools/kvm1/images/volumes/a.raw/download"]
)
def test_who_may_only_see_or_has_a_token_that_reads_carries_nothing(operator: User, pool: Pool, path: str) -> None:
    VolumeFactory.create(name="a.raw", pool=pool)
    wish = {"host": "kvm1", "pool": "images", "image_name": "new", "kind": "iso"} if "/uploads/i" in path else {}
    viewer = UserFactory.create(role="viewer")
    assert Caller(viewer).post(path, FILE | wish).status_code == 403
    assert Caller(operator, TokenScope.READ).post(path, FILE | wish).status_code == 403
    assert not Upload.objects.exists()

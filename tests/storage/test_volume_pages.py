"""The pages of volumes and images: what they show, and who may do what there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from storage.models import Image, ImageCopy, Pool, Upload, Volume
from tests.factories import HostFactory
from vmdash.access.models import User
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

GIB = 1 << 30
PAGE = "/storage/pools/kvm1/images/volumes/a%20b.qcow2/"
READING = [PAGE, "/storage/volumes/?path=/images/a b.qcow2", "/storage/images/"]
CHANGING = [
    "/storage/pools/kvm1/images/create-volume/",
    "/storage/pools/kvm1/images/upload-volume/",
    f"{PAGE}clone/",
    f"{PAGE}resize/",
    f"{PAGE}wipe/",
    f"{PAGE}delete/",
    f"{PAGE}image/",
    "/storage/images/upload/",
]


@pytest.fixture(autouse=True)
def pool() -> Pool:
    pool = Pool.objects.create(
        host=HostFactory.create(name="kvm1"),
        uuid="00000000-0000-4000-8000-000000000001",
        name="images",
        type="dir",
        state="running",
        capacity_bytes=100 * GIB,
        available_bytes=60 * GIB,
        path="/images",
        seen_at=timezone.now(),
    )
    Volume.objects.create(
        pool=pool,
        name="a b.qcow2",
        key="/images/a b.qcow2",
        path="/images/a b.qcow2",
        kind="file",
        format="qcow2",
        capacity_bytes=20 * GIB,
        allocation_bytes=3 * GIB,
    )
    return pool


@pytest.mark.parametrize("path", READING + CHANGING)
def test_who_is_not_signed_in_is_asked_to(anonymous_client: Client, path: str) -> None:
    assert anonymous_client.get(path).status_code == 302


@pytest.mark.parametrize("path", READING + CHANGING)
def test_who_has_no_role_sees_nothing(nobody_client: Client, path: str) -> None:
    assert nobody_client.get(path).status_code == 403


@pytest.mark.parametrize("path", READING)
def test_viewers_see_volumes(viewer_client: Client, path: str) -> None:
    assert viewer_client.get(path, follow=True).status_code == 200


@pytest.mark.parametrize("path", [*CHANGING, f"{PAGE}download/"])
def test_viewers_change_and_fetch_nothing(viewer_client: Client, path: str) -> None:
    assert viewer_client.get(path).status_code == 403
    assert viewer_client.post(path).status_code in (403, 405)


@pytest.mark.parametrize("path", CHANGING)
def test_operators_get_the_forms(operator_client: Client, path: str) -> None:
    assert operator_client.get(path).status_code == 200


def test_the_page_tells_what_it_is(operator_client: Client) -> None:
    page = operator_client.get(PAGE).content.decode()
    for words in ("20 GiB", "3 GiB of the storage", "/images/a b.qcow2", "No guest has it as a disk."):
        assert words in page


def test_a_base_says_what_stands_on_it_and_cannot_be_deleted(operator_client: Client, pool: Pool) -> None:
    Volume.objects.create(
        pool=pool, name="top", key="/images/top", path="/images/top", kind="file", backing_path="/images/a b.qcow2"
    )
    page = operator_client.get(PAGE).content.decode()
    assert "a b.qcow2 is the base of top: what they hold would be lost with it." in page
    assert '<button class="btn danger" disabled' in page
    refused = operator_client.post(f"{PAGE}delete/", {"confirm": "a b.qcow2"})
    assert refused.status_code == 400
    assert b"Cannot delete a b.qcow2: a b.qcow2 is the base of top" in refused.content
    assert not Job.objects.exists()


@pytest.mark.parametrize("query", ["path=/images/a%20b.qcow2", "key=/images/a%20b.qcow2&host=kvm1"])
def test_a_volume_is_found_by_path_or_key(viewer_client: Client, query: str) -> None:
    answer = viewer_client.get(f"/storage/volumes/?{query}")
    assert (answer.status_code, answer["Location"]) == (302, PAGE)


def test_what_is_not_found_is_said(viewer_client: Client) -> None:
    answer = viewer_client.get("/storage/volumes/?path=/nowhere")
    assert answer.status_code == 404
    assert b"Nothing there" in answer.content
    assert viewer_client.get("/storage/volumes/?path=%00").status_code == 400


@pytest.mark.parametrize(
    ("path", "fields", "label"),
    [
        (
            CHANGING[0],
            {"name": "n", "capacity_bytes": "20 GiB", "format": "qcow2"},
            "Create volume n in images on kvm1",
        ),
        (f"{PAGE}clone/", {"name": "n", "format": "raw"}, "Convert a b.qcow2 to raw as n"),
        (f"{PAGE}resize/", {"capacity_bytes": "30g"}, "Resize a b.qcow2 to 30 GiB"),
        (f"{PAGE}wipe/", {"confirm": "a b.qcow2", "algorithm": "zero"}, "Wipe a b.qcow2"),
        (f"{PAGE}delete/", {"confirm": "a b.qcow2"}, "Delete volume a b.qcow2"),
    ],
)
def test_forms_become_jobs(operator_client: Client, pool: Pool, path: str, fields: dict[str, str], label: str) -> None:
    answer = operator_client.post(path, {"pool": str(pool.pk), **fields})
    job = Job.objects.get()
    assert (job.label, answer["Location"]) == (label, f"/jobs/{job.pk}/")
    assert job.virsh.startswith("virsh -c qemu+tcp://")


@pytest.mark.parametrize(
    ("path", "fields", "words"),
    [
        (CHANGING[0], {"name": "n", "capacity_bytes": "much", "format": "qcow2"}, "Write a size such as 20 GiB."),
        (CHANGING[0], {"name": "a b.qcow2", "capacity_bytes": "1G", "format": "raw"}, "has a volume a b.qcow2 already"),
        (f"{PAGE}resize/", {"capacity_bytes": "1 GiB"}, "would get smaller: 20 GiB now"),
        (f"{PAGE}delete/", {"confirm": "ab"}, "type its name"),
    ],
)
def test_what_is_wrong_is_said_in_the_form(
    operator_client: Client, path: str, fields: dict[str, str], words: str
) -> None:
    answer = operator_client.post(path, fields)
    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert not Job.objects.exists()


def test_an_upload_is_begun_and_followed(
    operator_client: Client, client_of: Callable[[User], Client], administrator: User
) -> None:
    path = CHANGING[1]
    answer = operator_client.post(path, {"file_name": "x.iso", "size_bytes": "1000", "sha256": ""})
    upload = Upload.objects.get()
    page = f"/storage/uploads/{upload.pk}/"
    assert (answer.status_code, answer.json()) == (201, {"page": page})
    assert operator_client.get(page).status_code == 200
    assert operator_client.post(f"{page}ticket/").status_code == 202, "its volume is not there yet"
    Upload.objects.update(state="open", received_bytes=10)
    ticket = operator_client.post(f"{page}ticket/").json()
    assert (ticket["received"], ticket["size"]) == (10, 1000)
    assert ticket["url"].endswith(f"/upload/{upload.pk}")
    assert client_of(administrator).post(f"{page}ticket/").status_code == 404, "somebody else's"
    bad = operator_client.post(path, {"file_name": "x.iso", "size_bytes": "1000", "name": "a b.qcow2"})
    assert (bad.status_code, bad.json()["error"][:20]) == (409, "images on kvm1 has a")


def test_a_download_leads_to_the_gateway(operator_client: Client) -> None:
    answer = operator_client.get(f"{PAGE}download/")
    assert answer.status_code == 302
    assert answer["Location"].endswith("/a%20b.qcow2")
    assert "/download/" in answer["Location"]


def test_a_volume_goes_into_the_library_and_is_copied(operator_client: Client, pool: Pool) -> None:
    answer = operator_client.post(f"{PAGE}image/", {"name": "debian", "kind": "disk"})
    assert answer["Location"] == "/storage/images/"
    image = Image.objects.get()
    other = Pool.objects.create(
        host=HostFactory.create(name="kvm2"),
        uuid="00000000-0000-4000-8000-000000000002",
        name="fast",
        type="dir",
        state="running",
        seen_at=timezone.now(),
    )
    page = operator_client.get("/storage/images/").content.decode()
    assert "debian" in page
    assert "fast on kvm2" in page
    operator_client.post(f"/storage/images/{image.pk}/copy/", {"pool": other.pk})
    assert set(Job.objects.values_list("label", flat=True)) == {"Check debian on kvm1", "Copy debian to fast on kvm2"}
    assert image.copies.get(pool=other).state == ImageCopy.State.COPYING
    operator_client.post(f"/storage/images/{image.pk}/remove/")
    assert not Image.objects.exists()
    assert Volume.objects.filter(name="a b.qcow2").exists()

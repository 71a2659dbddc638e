"""The image library on real daemons: taken in, checked, copied, found wrong."""

from __future__ import annotations

import hashlib

import pytest

from storage import images
from storage.models import Image, ImageCopy, Pool, Upload, Volume
from storage.volume_rows import reread
from tests.polling import poll
from tests.storage.conftest import Gateway
from tests.storage.test_upload import send
from tests.storage_host import StorageHost
from vmdash.access.models import User
from vmdash.jobs.models import Job

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


def ended() -> None:
    poll(lambda: not Job.objects.filter(finished_at=None).exists(), 60, "the jobs to end")


@pytest.fixture
def pool(storage_host: StorageHost) -> Pool:
    return storage_host.pool_row()


@pytest.fixture
def image(storage_host: StorageHost, pool: Pool, operator: User) -> Image:
    """One with a good copy on the first host."""
    storage_host.disk("debian.qcow2", "write -P 7 0 8M")
    reread(storage_host.connection, pool, "debian.qcow2")
    image = images.add(name="debian", kind="disk", volume=Volume.objects.get(), user=operator)
    ended()
    image.refresh_from_db()
    return image


def digest(host: StorageHost) -> str:
    return hashlib.sha256((host.pool_path() / "debian.qcow2").read_bytes()).hexdigest()


def test_a_volume_is_taken_in_with_its_checksum_and_copied_to_another_host(
    storage_host: StorageHost, other_storage_host: StorageHost, image: Image, operator: User
) -> None:
    assert image.sha256 == digest(storage_host)
    assert image.copies.get().state == ImageCopy.State.GOOD
    images.copy_to(image=image, pool=other_storage_host.pool_row(host="store2"), user=operator)
    ended()
    assert [copy.state for copy in image.copies.all()] == ["good", "good"]
    assert digest(other_storage_host) == image.sha256
    assert Volume.objects.filter(pool__host__name="store2", format="qcow2").exists()


def test_a_copy_that_has_changed_is_found_and_not_copied_on(
    storage_host: StorageHost, other_storage_host: StorageHost, image: Image, operator: User
) -> None:
    with (storage_host.pool_path() / "debian.qcow2").open("r+b") as file:
        file.seek(4 << 20)
        file.write(b"x")
    images.copy_to(image=image, pool=other_storage_host.pool_row(host="store2"), user=operator)
    ended()
    failed = Job.objects.get(kind="image.copy")
    assert failed.error.startswith("The copy on store1 is not debian any more: its checksum is another.")
    assert [copy.state for copy in image.copies.all()] == ["bad"]
    assert other_storage_host.names() == set()
    images.verify(copy=image.copies.get(), user=operator)
    ended()
    assert image.copies.get().state == "bad"


def test_an_uploaded_image_is_in_the_library_once_it_is_whole(
    storage_host: StorageHost, pool: Pool, operator: User, gateway: Gateway, cookie: dict[str, str]
) -> None:
    upload = images.upload(
        name="tiny", kind="iso", format="iso", pool=pool, file_name="tiny.iso", size_bytes=9, user=operator
    )
    poll(lambda: Upload.objects.filter(pk=upload.pk, state="open").exists(), 20, "the volume to be made")
    assert not ImageCopy.objects.exists()
    assert send(gateway, upload, cookie, b"installer").status_code == 200
    ended()
    image = Image.objects.get()
    assert image.sha256 == hashlib.sha256(b"installer").hexdigest()
    assert image.copies.get().state == "good"


def test_an_image_that_never_arrived_is_not_in_the_library(
    storage_host: StorageHost, pool: Pool, operator: User, gateway: Gateway, cookie: dict[str, str]
) -> None:
    upload = images.upload(
        name="tiny", kind="iso", format="iso", pool=pool, file_name="t", size_bytes=9, user=operator, sha256="0" * 64
    )
    poll(lambda: Upload.objects.filter(pk=upload.pk, state="open").exists(), 20, "the volume to be made")
    send(gateway, upload, cookie, b"installer")
    ended()
    assert not Image.objects.exists()
    assert storage_host.names() == set()

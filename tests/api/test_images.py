"""The image library for scripts."""

from __future__ import annotations

from typing import Any

import pytest

from storage.models import Image, ImageCopy, Pool, Volume
from tests.api.caller import Caller
from tests.factories import HostFactory, PoolFactory, UserFactory, VolumeFactory
from vmdash.access.models import AuditEntry, Grant, User
from vmdash.access.reach import Scope
from vmdash.api.models import TokenScope
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

WISH = {"host": "kvm1", "pool": "images", "volume": "debian.qcow2", "name": "Debian", "kind": "disk"}


@pytest.fixture
def volume() -> Volume:
    return VolumeFactory.create(name="debian.qcow2", pool__name="images", pool__host__name="kvm1")


@pytest.fixture
def image(volume: Volume) -> Image:
    """With one good copy, on kvm1."""
    image = Image.objects.create(name="Debian", kind="disk", format="qcow2", size_bytes=1000, sha256="a" * 64)
    ImageCopy.objects.create(image=image, pool=volume.pool, volume_name=volume.name, state=ImageCopy.State.GOOD)
    return image


@pytest.fixture
def other_pool() -> Pool:
    return PoolFactory.create(name="images", host__name="kvm2")


def test_a_volume_is_taken_into_the_library_and_read(calls: Caller, volume: Volume) -> None:
    answer = calls.post("/images", WISH | {"description": "12, as delivered"})
    assert answer.status_code == 202
    assert (answer.json()["name"], answer.json()["sha256"]) == ("Debian", "")
    assert [(one["host"], one["volume"], one["state"]) for one in answer.json()["copies"]] == [
        ("kvm1", "debian.qcow2", "unchecked")
    ]
    assert Job.objects.get().label == "Check Debian on kvm1"
    assert calls.get("/images").json()["items"] == [answer.json()]


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"volume": "other"}, 404),
        ({"host": "kvm9"}, 404),
        ({"name": ""}, 422),
        ({"kind": "tape"}, 422),
        ({"description": "x" * 501}, 422),
        ({"sha256": "a" * 64}, 422),
    ],
)
def test_what_is_wrong_adds_nothing(calls: Caller, volume: Volume, wrong: dict[str, Any], status: int) -> None:
    assert calls.post("/images", WISH | wrong).status_code == status
    assert not Image.objects.exists()
    assert not Job.objects.exists()


def test_what_is_in_the_library_already_is_not_added_again(calls: Caller, image: Image) -> None:
    VolumeFactory.create(name="other.qcow2", pool=image.copies.get().pool)
    for wish in ({"name": "Another"}, {"volume": "other.qcow2"}):
        assert calls.post("/images", WISH | wish).status_code == 409
    assert Image.objects.get() == image


def test_the_library_comes_in_parts_by_name(calls: Caller, image: Image) -> None:
    for name in ("Alpine", "Ubuntu"):
        other = Image.objects.create(name=name, kind="iso", format="iso", size_bytes=1)
        ImageCopy.objects.create(image=other, pool=image.copies.get().pool, volume_name=name)
    page = calls.get("/images?offset=1&limit=1").json()
    assert ([one["name"] for one in page["items"]], page["total"]) == (["Debian"], 3)


def test_an_image_is_copied_to_another_pool(calls: Caller, image: Image, other_pool: Pool) -> None:
    answer = calls.post(f"/images/{image.pk}/copies", {"host": "kvm2", "pool": "images"})
    assert (answer.status_code, answer.json()["label"]) == (202, "Copy Debian to images on kvm2")
    copies = calls.get("/images").json()["items"][0]["copies"]
    assert [(one["host"], one["state"]) for one in copies] == [("kvm1", "good"), ("kvm2", "copying")]


def test_an_image_is_copied_only_to_a_pool_that_runs_and_lacks_it(
    calls: Caller, image: Image, other_pool: Pool
) -> None:
    Pool.objects.filter(pk=other_pool.pk).update(state=Pool.State.INACTIVE)
    for host, status in (("kvm1", 422), ("kvm2", 422), ("kvm9", 404)):
        wish = {"host": host, "pool": "images"}
        assert calls.post(f"/images/{image.pk}/copies", wish).status_code == status
    assert image.copies.count() == 1
    assert not Job.objects.exists()


def test_a_copy_is_checked(calls: Caller, image: Image) -> None:
    answer = calls.post(f"/images/copies/{image.copies.get().pk}/verify")
    assert (answer.status_code, answer.json()["label"]) == (202, "Check Debian on kvm1")
    assert calls.post("/images/copies/999999/verify").status_code == 404


def test_an_image_leaves_the_library_and_its_volume_stays(calls: Caller, image: Image) -> None:
    assert calls.send("DELETE", f"/images/{image.pk}").status_code == 204
    assert calls.get("/images").json()["total"] == 0
    assert Volume.objects.filter(name="debian.qcow2").exists()
    assert AuditEntry.objects.filter(action="image.remove", target_name="Debian").count() == 1
    assert calls.send("DELETE", f"/images/{image.pk}").status_code == 404


def test_images_elsewhere_are_neither_shown_nor_copied(image: Image, other_pool: Pool) -> None:
    person = UserFactory.create(role="")
    Grant.objects.create(person=person, role="operator", scope=Scope.HOST, scope_id=str(other_pool.host_id))
    other = Caller(person)
    assert other.get("/images").json()["items"] == []
    assert other.post(f"/images/{image.pk}/copies", {"host": "kvm2", "pool": "images"}).status_code == 404
    assert other.post(f"/images/copies/{image.copies.get().pk}/verify").status_code == 404
    assert other.post("/images", WISH).status_code == 404
    assert not Job.objects.exists()


def test_who_may_change_storage_in_some_places_removes_no_image(image: Image) -> None:
    person = UserFactory.create(role="")
    host = image.copies.get().pool.host_id
    Grant.objects.create(person=person, role="operator", scope=Scope.HOST, scope_id=str(host))
    assert Caller(person).send("DELETE", f"/images/{image.pk}").status_code == 403
    assert Image.objects.filter(pk=image.pk).exists()


def test_who_may_only_see_changes_nothing(operator: User, image: Image, other_pool: Pool) -> None:
    VolumeFactory.create(name="other.qcow2", pool=other_pool)
    HostFactory.create(name="kvm3")
    for caller in (Caller(UserFactory.create(role="viewer")), Caller(operator, TokenScope.READ)):
        assert caller.get("/images").json()["total"] == 1
        assert caller.post("/images", WISH | {"host": "kvm2", "volume": "other.qcow2"}).status_code == 403
        assert caller.post(f"/images/{image.pk}/copies", {"host": "kvm2", "pool": "images"}).status_code == 403
        assert caller.post(f"/images/copies/{image.copies.get().pk}/verify").status_code == 403
        assert caller.send("DELETE", f"/images/{image.pk}").status_code == 403
    assert Image.objects.count() == ImageCopy.objects.count() == 1
    assert not Job.objects.exists()

"""Backing chains over the fleet, and what they forbid."""

from __future__ import annotations

import pytest

from domains.models import DomainState
from hosts.models import Host
from storage.chains import Chains, obstacle_to_delete, obstacle_to_write, overlays_of, users_of
from storage.models import Pool, Storage, Volume
from storage.selectors import is_shared
from tests.factories import DomainFactory, HostFactory, PoolFactory, VolumeFactory
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def kvm1() -> Host:
    return HostFactory.create(name="kvm1")


@pytest.fixture
def kvm2() -> Host:
    return HostFactory.create(name="kvm2")


@pytest.fixture
def shared(kvm1: Host, kvm2: Host) -> tuple[Pool, Pool]:
    """One storage, at other paths on the two hosts."""
    storage = Storage.objects.create(name="nfs1:/vms", evidence="source")
    return (
        PoolFactory.create(host=kvm1, name="vms", path="/srv/vms", storage=storage),
        PoolFactory.create(host=kvm2, name="vms", path="/mnt/vms", storage=storage),
    )


def disk(source: str, *backing: str, target: str = "vda") -> dict[str, object]:
    return {
        "target": target,
        "bus": "virtio",
        "device": "disk",
        "source": source,
        "format": "qcow2",
        "readonly": False,
        "backing": list(backing),
    }


def volume(pool: Pool, name: str, base: str = "") -> Volume:
    return VolumeFactory.create(pool=pool, name=name, backing_path=base)


def test_a_base_with_overlays_can_neither_be_deleted_nor_written(kvm1: Host) -> None:
    pool = PoolFactory.create(host=kvm1, path="/images")
    base = volume(pool, "base.qcow2")
    for number in range(1, 6):
        volume(pool, f"web{number}.qcow2", "/images/base.qcow2")

    words = "base.qcow2 is the base of web1.qcow2, web2.qcow2, web3.qcow2 and 2 others"
    assert words in obstacle_to_delete(base)
    assert words in obstacle_to_write(base)
    assert next(image.name for image in overlays_of(base)) == "web1.qcow2"
    top = Volume.objects.get(name="web1.qcow2")
    assert obstacle_to_delete(top) == obstacle_to_write(top) == ""


def test_a_disk_of_a_guest_stays_and_is_not_written_while_the_guest_runs(kvm1: Host) -> None:
    pool = PoolFactory.create(host=kvm1, path="/images")
    web1 = volume(pool, "web1.qcow2")
    guest = DomainFactory.create(host=kvm1, name="web1", disks=[disk("/images/web1.qcow2")])

    assert obstacle_to_write(web1) == "It is disk vda of web1 on kvm1. Shut the guest down first."
    assert "Detach it" in obstacle_to_delete(web1)

    guest.state = DomainState.SHUT_OFF
    guest.save()
    assert obstacle_to_write(web1) == ""
    assert "It is disk vda of web1 on kvm1." in obstacle_to_delete(web1)
    assert [use.name for use in users_of(web1)] == ["web1"]


def test_a_disk_that_is_named_by_pool_and_volume_is_found(kvm1: Host) -> None:
    pool = PoolFactory.create(host=kvm1, name="default", path="/images")
    DomainFactory.create(host=kvm1, name="web1", disks=[disk("default/web1.qcow2")])

    assert [use.name for use in users_of(volume(pool, "web1.qcow2"))] == ["web1"]


def test_overlays_on_another_host_count_when_the_storage_is_shared(shared: tuple[Pool, Pool], kvm2: Host) -> None:
    here, there = shared
    base = volume(here, "base.qcow2")
    volume(there, "base.qcow2")
    volume(there, "web1.qcow2", "/mnt/vms/base.qcow2")
    DomainFactory.create(host=kvm2, name="web1", disks=[disk("/mnt/vms/web1.qcow2")])

    assert "is the base of web1.qcow2" in obstacle_to_delete(base)


def test_the_same_path_on_hosts_that_share_nothing_is_another_image(kvm1: Host, kvm2: Host) -> None:
    base = volume(PoolFactory.create(host=kvm1, path="/images"), "base.qcow2")
    volume(PoolFactory.create(host=kvm2, path="/images"), "web1.qcow2", "/images/base.qcow2")

    assert obstacle_to_delete(base) == ""


def test_chains_of_running_guests_count_even_outside_of_every_pool(kvm1: Host) -> None:
    base = volume(PoolFactory.create(host=kvm1, path="/images"), "base.qcow2")
    DomainFactory.create(
        host=kvm1, name="web1", disks=[disk("/elsewhere/web1.snap", "/elsewhere/web1.qcow2", "/images/base.qcow2")]
    )

    assert "is the base of web1.qcow2" in obstacle_to_write(base)
    (tree,) = Chains().trees()
    assert [image.name for image in tree.above()] == ["web1.qcow2", "web1.snap"]
    assert [use.name for use in [*tree.above()][1].users] == ["web1"]


def test_the_tree_has_each_shared_image_once_with_its_depth(shared: tuple[Pool, Pool]) -> None:
    for pool in shared:
        volume(pool, "base.qcow2")
        volume(pool, "golden.qcow2", f"{pool.path}/base.qcow2")
        volume(pool, "web1.qcow2", "golden.qcow2")  # relative, as qemu-img may leave it

    (tree,) = Chains().trees()

    assert (tree.name, len(tree.volumes)) == ("base.qcow2", 2)
    assert [image.name for image in tree.above()] == ["golden.qcow2", "web1.qcow2"]
    assert [image.depth for image in tree.above()] == [1, 2]


def test_images_that_name_each_other_end_nothing(kvm1: Host) -> None:
    pool = PoolFactory.create(host=kvm1, path="/images")
    one = volume(pool, "one.qcow2", "/images/two.qcow2")
    volume(pool, "two.qcow2", "/images/one.qcow2")

    assert Chains().find(one).depth <= 2


def test_the_number_of_queries_does_not_grow_with_the_chains(kvm1: Host) -> None:
    pool = PoolFactory.create(host=kvm1, path="/images")
    volume(pool, "base.qcow2")
    volume(pool, "web1.qcow2", "/images/base.qcow2")
    before = queries_of(lambda: Chains().trees())
    for number in range(5):
        volume(PoolFactory.create(path=f"/p{number}"), "web.qcow2", f"/p{number}/base.qcow2")

    assert queries_of(lambda: Chains().trees()) == before


def test_a_path_is_shared_where_its_pool_is(shared: tuple[Pool, Pool], kvm1: Host, kvm2: Host) -> None:
    PoolFactory.create(host=kvm1, path="/srv")
    PoolFactory.create(host=kvm2, path="/srv")

    found = is_shared("/srv/vms/web1.qcow2", kvm1, kvm2)

    assert found
    assert (found.path_there, found.evidence) == ("/mnt/vms/web1.qcow2", "source")
    assert is_shared("/srv/web1.qcow2", kvm1, kvm2) is None
    assert is_shared("/srv/vms/web1.qcow2", kvm1, HostFactory.create()) is None
    shared[1].state = Pool.State.INACTIVE
    shared[1].save()
    assert is_shared("/srv/vms/web1.qcow2", kvm1, kvm2) is None

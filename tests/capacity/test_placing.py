"""Guests onto hosts on paper, and each host failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.capacity.failure import Failure, fail, fail_each
from domains.capacity.needs import Need, Park, read_park
from domains.capacity.placing import Packing, pack
from domains.models import Domain, DomainState
from hosts.models import Host
from storage.models import Pool, Storage
from tests.factories import DomainFactory, HostFactory, PoolFactory
from tests.queries import queries_of

GIB = 1024**2
ANY = ("qemu", "", "", frozenset[str](), frozenset[int](), 0)


def packed(
    sizes: Sequence[int], free: Mapping[int, int], vcpus: Mapping[int, float] | None = None, stuck: Sequence[int] = ()
) -> Packing:
    """Guests of one vCPU each. No host could take those of the sizes `stuck`."""
    everywhere = list(free)
    nowhere: list[int] = []
    needs = [Need(f"{number:032x}", f"g{number}", 0, 1, size, ANY) for number, size in enumerate(sizes)]
    return pack(needs, free, lambda need: nowhere if need.memory_kib in stuck else everywhere, vcpus)


def test_the_largest_goes_first_to_where_most_is_free() -> None:
    found = packed([2, 8, 4], {1: 10, 2: 9})
    assert [(need.memory_kib, host) for need, host in found.placed] == [(8, 1), (4, 2), (2, 2)]


def test_what_does_not_fit_is_left() -> None:
    found = packed([8, 8, 8], {1: 10, 2: 9})
    assert [need.memory_kib for need in found.unplaced] == [8]


def test_a_second_way_is_tried_where_the_first_leaves_guests_over() -> None:
    """Most room first: 8 to the host with 10, 7 to the one with 8, and 3 finds none. Tightest: all fit."""
    found = packed([8, 7, 3], {1: 10, 2: 8})
    assert not found.unplaced


def test_a_crowded_host_comes_last_but_is_not_left_out() -> None:
    found = packed([8, 4, 2, 2], {1: 20, 2: 9, 3: 5}, {1: 0, 2: 1, 3: 4})
    assert [(need.memory_kib, host) for need, host in found.placed] == [(8, 2), (4, 3), (2, 1), (2, 1)]


def test_who_is_crowded_costs_no_guest_its_place() -> None:
    """Were 5 to go to the host that is not crowded, 3 would find no room; by memory alone all fit."""
    found = packed([5, 4, 4, 3], {1: 9, 2: 7}, {1: 0, 2: 9})
    assert not found.unplaced


def test_nor_when_another_guest_can_go_nowhere() -> None:
    """Such as one whose disks are lost, as large as it may be."""
    found = packed([20, 5, 4, 4, 3], {1: 9, 2: 7}, {1: 0, 2: 9}, stuck=(20,))
    assert [need.memory_kib for need in found.unplaced] == [20]


def test_a_guest_that_can_go_nowhere_takes_no_room_from_a_second_way() -> None:
    found = packed([20, 8, 7, 3], {1: 10, 2: 8}, stuck=(20,))
    assert [need.memory_kib for need in found.unplaced] == [20]


@given(
    st.lists(st.integers(1, 64), max_size=40),
    st.lists(st.integers(-5, 200), max_size=8),
    st.lists(st.integers(-3, 9), max_size=8),
)
def test_no_host_gets_more_than_it_has_and_no_guest_is_forgotten(
    sizes: list[int], room: list[int], vcpus: list[int]
) -> None:
    free = dict(enumerate(room))
    found = packed(sizes, free, dict(enumerate(vcpus)))
    assert len(found.placed) + len(found.unplaced) == len(sizes)
    for host, has in free.items():
        assert sum(need.memory_kib for need, at in found.placed if at == host) <= max(0, has)
    if found.unplaced and free:
        left = {host: has - sum(n.memory_kib for n, at in found.placed if at == host) for host, has in free.items()}
        assert max(left.values()) < min(need.memory_kib for need in found.unplaced) or len(found.unplaced) < len(sizes)


def host(name: str, **fields: object) -> Host:
    return HostFactory.create(name=name, memory_kib=20 * GIB, **fields)


def guest(name: str, on: Host, gib: int, **fields: object) -> Domain:
    return DomainFactory.create(name=name, host=on, max_memory_kib=gib * GIB, memory_kib=gib * GIB, **fields)


def park() -> Park:
    return read_park(list(Host.objects.select_related("site")), Domain.objects.present())


def failure(name: str) -> Failure:
    return fail(park(), Host.objects.get(name=name).pk)


def disk(path: str, **more: object) -> dict[str, object]:
    return {"target": "vda", "device": "disk", "source": path, **more}


def shared(*hosts: Host, path: str = "/nfs") -> Storage:
    storage = Storage.objects.create(name=f"nfs:{path}", evidence="source")
    for one in hosts:
        PoolFactory.create(host=one, path=path, storage=storage, type="netfs")
    return storage


pytestmark = pytest.mark.django_db


def test_guests_of_a_failed_host_go_to_the_others() -> None:
    one, two, three = host("kvm1"), host("kvm2"), host("kvm3")
    for name, on, gib in (("a", one, 8), ("b", one, 4), ("c", two, 4), ("d", three, 12)):
        guest(name, on, gib)
    found = failure("kvm1")
    # 19 GiB each may be given away: kvm2 has 15 left, kvm3 has 7. a to kvm2; then both have 7, and kvm2 is first.
    assert {need.name: machine.name for need, machine in found.placed} == {"a": "kvm2", "b": "kvm2"}
    assert found.survives
    assert found.verdict == "All guests have a place"


def test_five_percent_are_left_to_each_host() -> None:
    """19 of 20 GiB are there to be given: 15 given leave 4."""
    one, two = host("kvm1"), host("kvm2")
    guest("there", two, 15)
    fits, too_large = guest("fits", one, 4), guest("too-large", one, 5)
    too_large.delete()
    assert failure("kvm1").survives
    fits.delete()
    guest("too-large", one, 5)
    found = failure("kvm1")
    assert found.reasons == [("No host that could take it has enough memory left.", 1)]
    assert fail(park(), one.pk, ratio=1.1).survives  # 20.9 GiB may be given then


def test_guests_that_are_off_need_no_place() -> None:
    one = host("kvm1")
    host("kvm2")
    guest("off", one, 200, state=DomainState.SHUT_OFF)
    assert failure("kvm1").guests == 0
    assert failure("kvm1").verdict == "Nothing runs there"


def test_without_another_host_nothing_survives() -> None:
    guest("a", host("kvm1"), 1)
    assert failure("kvm1").reasons == [("There is no other host.", 1)]


@pytest.mark.parametrize("fields", [{"state": Host.State.UNREACHABLE}, {"maintenance": Host.Maintenance.MAINTENANCE}])
def test_hosts_that_are_not_ready_take_nobody(fields: dict[str, object]) -> None:
    guest("a", host("kvm1"), 1)
    host("kvm2", **fields)
    assert failure("kvm1").reasons == [("No other host is ready for guests.", 1)]


def test_disks_on_storage_of_the_host_alone_are_gone_with_it() -> None:
    one, two = host("kvm1"), host("kvm2")
    for each in (one, two):
        PoolFactory.create(host=each, path="/images")
    guest("a", one, 1, disks=[disk("/images/a.qcow2")])
    assert failure("kvm1").reasons == [("Its disks are on storage that no other host is known to reach.", 1)]


def test_disks_on_shared_storage_are_reached_by_those_that_have_it() -> None:
    one, two, three = host("kvm1"), host("kvm2"), host("kvm3")
    shared(one, three)
    guest("a", one, 1, disks=[disk("/nfs/deep/a.qcow2")])
    assert [machine.name for _, machine in failure("kvm1").placed] == ["kvm3"]
    Pool.objects.filter(host=three).update(state=Pool.State.INACTIVE)
    assert failure("kvm1").reasons == [("No other host reaches its shared storage.", 1)]
    assert two.pk


def test_an_image_behind_the_disk_counts_and_a_medium_in_a_drive_does_not() -> None:
    one, two = host("kvm1"), host("kvm2")
    shared(one, two)
    PoolFactory.create(host=one, path="/images")
    guest("a", one, 1, disks=[disk("/nfs/a.qcow2"), disk("/images/boot.iso", device="cdrom")])
    assert failure("kvm1").survives
    guest("b", one, 1, disks=[disk("/nfs/b.qcow2", backing=["/images/base.qcow2"])])
    assert [left.need.name for left in failure("kvm1").stranded] == ["b"]


def test_where_no_pool_covers_a_disk_it_says_that_nobody_knows() -> None:
    one = host("kvm1")
    host("kvm2")
    guest("a", one, 1, disks=[disk("/mnt/a.qcow2")])
    found = failure("kvm1")
    assert found.survives
    assert (found.uncertain, found.look) == (1, "warn")


@pytest.mark.parametrize(
    ("there", "needs", "reason"),
    [
        ({"arch": "aarch64"}, {"arch": "x86_64"}, "No other host runs x86_64 guests."),
        ({"hardware_virtualization": False}, {"domain_type": "kvm"}, "No other host has hardware virtualization."),
        (
            {"networks": [{"name": "default", "active": False}]},
            {"interfaces": [{"kind": "network", "source": "default"}]},
            "No other host has its networks.",
        ),
    ],
)
def test_what_other_hosts_lack_is_said(there: dict[str, object], needs: dict[str, object], reason: str) -> None:
    guest("a", host("kvm1"), 1, **needs)
    host("kvm2", **there)
    assert failure("kvm1").reasons == [(reason, 1)]


def test_two_names_of_one_machine_do_not_save_each_other() -> None:
    machine = "4c4c4544-0042-3510-8052-b3c04f4e3132"
    guest("a", host("kvm1", host_uuid=machine), 1)
    host("kvm1-again", host_uuid=machine)
    assert not failure("kvm1").survives


def test_each_host_fails_alone_in_a_fixed_number_of_queries() -> None:
    def more(number: int) -> None:
        for _ in range(number):
            guest(f"g{Domain.objects.count()}", HostFactory.create(), 1)

    more(3)
    few = queries_of(lambda: fail_each(park()))
    more(10)
    assert queries_of(lambda: fail_each(park())) == few
    assert all(found.guests == 1 for found in fail_each(park()))

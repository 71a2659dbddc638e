"""Snapshots with libvirt's test driver: taking, listing, reverting, deleting; and what is said when that fails."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from vmdash.virt import blockjob, errors
from vmdash.virt.connection import HostConnection
from vmdash.virt.guest import Guest
from vmdash.virt.snapshot import count, create, redefine, snapshot, snapshots
from vmdash.virt.states import GuestState
from vmdash.virt.xml.snapshot import DiskSpec, Place, SnapshotSpec


@pytest.fixture
def guest(host: HostConnection) -> Guest:
    return host.guest_named("web1")


def spec(name: str) -> SnapshotSpec:
    return SnapshotSpec(name, (DiskSpec("vda", Place.INTERNAL),), memory=Place.INTERNAL, description=f"About {name}")


def test_snapshots_form_a_tree(guest: Guest) -> None:
    assert count(guest) == 0
    for name in ("first", "second"):
        create(guest, spec(name))
    snapshot(guest, "first").revert()
    create(guest, spec("branch"))
    facts = {one.name: one.facts() for one in snapshots(guest)}
    assert count(guest) == 3
    assert {name: one.definition.parent for name, one in facts.items()} == {
        "first": "",
        "second": "first",
        "branch": "first",
    }
    assert [name for name, one in facts.items() if one.current] == ["branch"]
    first = facts["first"].definition
    assert (first.state, first.description, first.memory) == ("running", "About first", Place.INTERNAL)
    assert first.created_at is not None
    assert abs((datetime.now(UTC) - first.created_at).total_seconds()) < 60


@pytest.mark.parametrize(("running", "state"), [(True, GuestState.RUNNING), (False, GuestState.PAUSED)])
def test_a_guest_that_is_off_goes_back_to_what_it_was(guest: Guest, running: bool, state: GuestState) -> None:
    taken = create(guest, spec("a"))
    guest.destroy()
    taken.revert(running=running)
    assert guest.status().state is state


def test_deleting_keeps_what_came_after(guest: Guest) -> None:
    for name in ("a", "b", "c"):
        create(guest, spec(name))
    snapshot(guest, "b").delete()
    assert [(one.name, one.definition().parent) for one in snapshots(guest)] == [("a", ""), ("c", "a")]
    snapshot(guest, "a").delete(children_only=True)
    assert [one.name for one in snapshots(guest)] == ["a"]
    snapshot(guest, "a").delete(children=True)
    assert snapshots(guest) == []


def test_what_is_not_there_is_not_found(guest: Guest) -> None:
    with pytest.raises(errors.SnapshotNotFound, match="Cannot find snapshot gone of web1 on kvm1"):
        snapshot(guest, "gone")


def test_what_libvirt_keeps_in_mind_can_be_corrected(guest: Guest) -> None:
    create(guest, spec("a"))
    second = create(guest, spec("b"))
    first = snapshot(guest, "a")
    redefine(guest, first.xml(secure=True).replace("About a", "Corrected"), current=True)
    assert snapshot(guest, "a").definition().description == "Corrected"
    assert snapshot(guest, "a").is_current()
    assert not second.is_current()


def test_a_driver_without_block_jobs_says_so(guest: Guest) -> None:
    with pytest.raises(errors.CallUnsupported, match="disk vda of web1 on kvm1"):
        blockjob.commit(guest, "vda", active=True)

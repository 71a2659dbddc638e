"""Guests of a test driver: the verbs, and what is said when they cannot be."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from vmdash.virt import errors
from vmdash.virt.connection import HostConnection
from vmdash.virt.guest import Guest
from vmdash.virt.states import GuestState, GuestStatus


@pytest.fixture
def guest(host: HostConnection) -> Guest:
    return host.guest_named("web1")


def test_a_guest_goes_through_its_life(guest: Guest) -> None:
    guest.suspend()
    assert guest.status() == GuestStatus(GuestState.PAUSED, "user")
    guest.resume()
    assert guest.status() == GuestStatus(GuestState.RUNNING, "unpaused")
    guest.shutdown()
    assert guest.status() == GuestStatus(GuestState.SHUT_OFF, "shutdown")
    assert not guest.is_active()
    guest.start()
    assert guest.status() == GuestStatus(GuestState.RUNNING, "booted")
    guest.destroy()
    assert guest.status() == GuestStatus(GuestState.SHUT_OFF, "destroyed")


def test_a_saved_guest_goes_on_at_its_next_start(guest: Guest) -> None:
    guest.managed_save()
    assert guest.has_managed_save()
    assert guest.status() == GuestStatus(GuestState.SHUT_OFF, "saved")
    guest.start()
    assert guest.status().state is GuestState.RUNNING
    assert not guest.has_managed_save()


def test_a_saved_state_can_be_thrown_away(guest: Guest) -> None:
    guest.managed_save()
    guest.managed_save_remove()
    assert not guest.has_managed_save()


def test_starting_a_running_guest_says_so(guest: Guest) -> None:
    with pytest.raises(errors.GuestAlreadyRunning) as caught:
        guest.start()
    assert caught.value.message == "Cannot start web1 on kvm1: the guest runs already."


@pytest.mark.parametrize(
    "act",
    [Guest.shutdown, Guest.reboot, Guest.destroy, Guest.suspend, Guest.resume, Guest.managed_save],
    ids=lambda act: act.__name__,
)
def test_what_needs_a_running_guest_says_so(guest: Guest, act: object) -> None:
    guest.destroy()
    with pytest.raises(errors.GuestNotRunning, match="web1 on kvm1: the guest does not run"):
        act(guest)  # type: ignore[operator]


def test_autostart_is_switched(guest: Guest) -> None:
    assert not guest.autostart()
    guest.set_autostart(True)
    assert guest.autostart()
    assert guest.facts().autostart


def test_a_guest_that_was_undefined_is_not_found(host: HostConnection, guest: Guest) -> None:
    guest.destroy()
    guest.undefine()
    assert host.guests() == []
    with pytest.raises(errors.GuestNotFound):
        guest.status()


def test_a_renamed_guest_keeps_its_uuid(host: HostConnection, guest: Guest) -> None:
    guest.destroy()
    guest.rename("front")
    assert guest.name == "front"
    assert host.guest(guest.uuid).name == "front"


def test_the_definition_is_read(guest: Guest) -> None:
    definition = guest.definition()
    assert definition.uuid == guest.uuid
    assert definition.max_memory_kib == 1048576
    assert [disk.target for disk in definition.disks] == ["vda"]
    assert guest.graphics() == ()


@pytest.mark.parametrize(
    "act",
    [
        lambda guest: guest.agent_info(),
        lambda guest: guest.shutdown(mode="agent"),
        lambda guest: guest.job(),
        lambda guest: guest.set_vnc_password("secret12", datetime.now(UTC)),
    ],
)
def test_what_the_driver_lacks_is_unsupported_and_nothing_worse(guest: Guest, act: object) -> None:
    with pytest.raises(errors.CallUnsupported, match="on kvm1"):
        act(guest)  # type: ignore[operator]


def test_an_option_the_driver_does_not_know_is_refused(guest: Guest) -> None:
    guest.destroy()
    with pytest.raises(errors.ArgumentRefused):
        guest.start(paused=True)
    assert not guest.is_active()


def test_keys_are_pressed(guest: Guest) -> None:
    guest.send_key([29, 56, 111])


def test_vcpus_are_placed_only_while_it_runs(guest: Guest) -> None:
    assert [(vcpu.number, vcpu.running) for vcpu in guest.vcpus()] == [(0, True), (1, True)]
    guest.destroy()
    assert guest.vcpus() == []

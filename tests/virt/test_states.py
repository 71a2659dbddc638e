"""Guest states: nothing that libvirt can report is without a name and words."""

from __future__ import annotations

import libvirt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdash.virt.states import GuestState, GuestStatus, reasons

REASONS = [
    (getattr(libvirt, f"VIR_DOMAIN_{state}"), value, name)
    for state in ("RUNNING", "BLOCKED", "PAUSED", "SHUTDOWN", "SHUTOFF", "CRASHED", "PMSUSPENDED", "NOSTATE")
    for name, value in vars(libvirt).items()
    if name.startswith(f"VIR_DOMAIN_{state}_")
    and not name.startswith(("VIR_DOMAIN_SHUTDOWN_", "VIR_DOMAIN_PMSUSPENDED_DISK"))
]


def test_the_list_of_libvirts_reasons_is_not_empty() -> None:
    assert len(REASONS) >= 40


@pytest.mark.parametrize(("state", "reason", "name"), REASONS, ids=[name for *_, name in REASONS])
def test_every_reason_libvirt_has_is_known(state: int, reason: int, name: str) -> None:
    status = GuestStatus.from_libvirt(state, reason)
    assert (status.reason == "unknown") == (reason == 0)
    assert status.reason in reasons(status.state)
    assert bool(status.reason_words) == (reason != 0)


def test_words_name_the_state_and_then_the_reason() -> None:
    paused = GuestStatus.from_libvirt(libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER)
    assert paused == GuestStatus(GuestState.PAUSED, "user")
    assert paused.words == "paused: by user"
    assert GuestStatus(GuestState.SHUT_OFF).words == "shut off"


def test_a_guest_that_has_ended_while_its_process_has_not_is_dying() -> None:
    status = GuestStatus.from_libvirt(libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_SHUTTING_DOWN)
    assert status.state is GuestState.DYING
    assert status.state.is_active


@given(st.integers(), st.integers())
def test_numbers_of_newer_libvirts_read_as_unknown(state: int, reason: int) -> None:
    status = GuestStatus.from_libvirt(state, reason)
    assert status.words
    if state > 7:
        assert status == GuestStatus(GuestState.NOSTATE)


def test_only_guests_with_a_process_are_active() -> None:
    inactive = {state for state in GuestState if not state.is_active}
    assert inactive == {GuestState.NOSTATE, GuestState.SHUT_OFF, GuestState.CRASHED}

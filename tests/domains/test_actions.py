"""What can be done to a guest, by whom and when: the table, and the reasons it gives."""

from __future__ import annotations

import re

import pytest

from domains import action_jobs
from domains.action_types import Seen
from domains.actions import ACTIONS, current_jobs, possible
from domains.models import Domain, DomainState
from hosts.models import Host
from tests.factories import DomainFactory, HostFactory, JobFactory
from vmdash.access.models import User

pytestmark = pytest.mark.django_db


def reasons(domain: Domain, user: User) -> dict[str, str]:
    return {choice.action.key: choice.reason for choice in possible(domain, user)}


def allowed(domain: Domain, user: User) -> set[str]:
    return {choice.action.key for choice in possible(domain, user) if choice.possible}


def test_a_running_guest(operator: User) -> None:
    domain = DomainFactory.create()
    assert allowed(domain, operator) == {
        "shutdown", "reboot", "reset", "force_off", "suspend", "save", "autostart_on",
    }  # fmt: skip
    why = reasons(domain, operator)
    assert why["start"] == "It runs already."
    assert why["discard_save"] == "It has no saved state."
    assert why["autostart_off"] == "It does not start with its host."


def test_a_guest_that_is_off(operator: User) -> None:
    domain = DomainFactory.create(state="shut_off", autostart=True)
    assert allowed(domain, operator) == {"start", "start_paused", "autostart_off"}
    why = reasons(domain, operator)
    assert why["shutdown"] == "It is off already."
    assert why["reboot"] == "It is off. Start it."
    assert why["restore"] == "It has no saved state."


def test_a_template_never_starts(operator: User) -> None:
    domain = DomainFactory.create(state="shut_off", is_template=True, autostart=True)
    assert allowed(domain, operator) == {"autostart_off"}
    assert reasons(domain, operator)["start"].startswith("It is a template, there to be cloned")


def test_a_guest_with_a_saved_state(operator: User) -> None:
    domain = DomainFactory.create(state="shut_off", has_managed_save=True)
    assert allowed(domain, operator) == {"start", "start_paused", "restore", "discard_save", "autostart_on"}


def test_a_paused_guest(operator: User) -> None:
    domain = DomainFactory.create(state="paused")
    assert allowed(domain, operator) == {"reset", "force_off", "resume", "save", "autostart_on"}
    assert reasons(domain, operator)["shutdown"] == "It is paused. Resume it."


def test_a_transient_guest_keeps_nothing_on_its_host(operator: User) -> None:
    why = reasons(DomainFactory.create(persistent=False), operator)
    assert why["save"] == why["autostart_on"] == "It is transient: its host keeps no definition of it."
    assert not why["force_off"]


@pytest.mark.parametrize("state", DomainState)
def test_what_is_not_possible_has_a_reason_in_words(state: DomainState, operator: User) -> None:
    domain = DomainFactory.create(state=state)
    for choice in possible(domain, operator):
        assert choice.possible or re.fullmatch(r"[A-Z].*\.", choice.reason)


def test_people_are_told_what_they_may_not(nobody: User, viewer: User, help_desk: User, operator: User) -> None:
    domain = DomainFactory.create()
    assert allowed(domain, nobody) == allowed(domain, viewer) == set()
    assert allowed(domain, help_desk) == {"shutdown", "reboot"}
    assert {"force_off", "suspend"} <= allowed(domain, operator)
    assert reasons(domain, viewer)["shutdown"] == "You may not start, shut down and restart guests."
    assert reasons(domain, help_desk)["force_off"] == "You may not force off or reset guests."


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ({"enabled": False}, "Its host kvm9 is disabled."),
        ({"state": Host.State.UNREACHABLE}, "Its host kvm9 does not answer."),
        ({"state": Host.State.REFUSED}, "Its host kvm9 refuses the connection."),
        ({"state": Host.State.NEW}, "Its host kvm9 has not been seen yet."),
    ],
)
def test_nothing_is_possible_while_the_host_is_away(host: dict[str, object], reason: str, operator: User) -> None:
    domain = DomainFactory.create(host=HostFactory.create(name="kvm9", **host))
    assert set(reasons(domain, operator).values()) == {reason}


def test_a_guest_that_is_active_twice_is_not_started_but_may_be_forced_off(operator: User) -> None:
    domain = DomainFactory.create(state="shut_off", split_brain=True)
    assert "two hosts at once" in reasons(domain, operator)["start"]
    domain.state = "running"
    assert "force_off" in allowed(domain, operator)


def test_what_a_driver_does_not_offer_is_said(operator: User) -> None:
    domain = DomainFactory.create(host=HostFactory.create(driver="lxc"))
    assert reasons(domain, operator)["reset"] == "Hosts with the driver LXC do not offer it."


def test_every_action_has_a_job_kind_and_code(subtests: pytest.Subtests) -> None:
    assert set(action_jobs.KINDS) == set(action_jobs._PERFORM) == set(ACTIONS)
    for action in ACTIONS.values():
        with subtests.test(action.key):
            assert "{name}" in action.title
            assert (action.goal is None) == (not action.already)
            assert action.overtakes <= set(ACTIONS)


def test_the_equivalent_virsh_command_is_quoted() -> None:
    host = HostFactory.create(driver="qemu", transport="ssh", address="kvm3.example.org", username="root", port=2222)
    domain = DomainFactory.create(host=host, name="it's; rm -rf /")
    assert ACTIONS["force_off"].virsh_command(domain) == (
        "virsh -c qemu+ssh://root@kvm3.example.org:2222/system destroy 'it'\"'\"'s; rm -rf /'"
    )
    assert (
        ACTIONS["autostart_off"]
        .virsh_command(DomainFactory.create(host=host, name="web1"))
        .endswith("autostart web1 --disable")
    )


@pytest.mark.parametrize("name", ["7", "-all"])
def test_virsh_gets_the_uuid_where_a_name_would_mislead_it(name: str) -> None:
    domain = DomainFactory.create(name=name)
    assert ACTIONS["start"].virsh_command(domain).endswith(f"start {domain.uuid}")


def test_a_goal_is_judged_by_what_is_seen() -> None:
    off = Seen(DomainState.SHUT_OFF, has_managed_save=False, persistent=True, autostart=False)
    saved = Seen(DomainState.SHUT_OFF, has_managed_save=True, persistent=True, autostart=False)
    assert ACTIONS["force_off"].has_come_about(off)
    assert ACTIONS["save"].has_come_about(saved)
    assert not ACTIONS["save"].has_come_about(off)
    assert not ACTIONS["reset"].has_come_about(off)


def test_what_is_being_done_to_guests_is_read_at_once(django_assert_num_queries: object) -> None:
    busy, idle, done = DomainFactory.create(), DomainFactory.create(), DomainFactory.create()
    JobFactory.create(domain=busy, kind="domain.shutdown", state="running")
    JobFactory.create(domain=idle, exclusive=False)
    JobFactory.create(domain=done, state="succeeded")
    with django_assert_num_queries(1):  # type: ignore[operator]
        assert current_jobs([busy.pk, idle.pk, done.pk]) == {str(busy.pk): "Shutting down"}

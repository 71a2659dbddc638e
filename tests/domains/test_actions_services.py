"""Asking for actions: rights, confirmations, refusals, and many guests at once."""

from __future__ import annotations

from uuid import uuid4

import pytest

from domains.actions import ACTIONS
from domains.models import Domain
from domains.services import ConfirmationNeeded, act, act_on_many
from domains.split_brain import split_brain_obstacle
from hosts.models import Host
from tests.factories import DomainFactory, HostFactory, JobFactory, running_twice
from vmdash.access.models import AuditEntry, User
from vmdash.access.roles import can
from vmdash.exceptions import Conflict, InvalidInput, NotFound, NotPermitted
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job
from vmdash.jobs.services import JobInTheWay

pytestmark = pytest.mark.django_db

STATE_FOR = {"resume": "paused", "wake_up": "pmsuspended", "start": "shut_off", "start_paused": "shut_off"}


def guest_for(action: str) -> Domain:
    """A guest to which the action can be done."""
    if action in ("restore", "discard_save"):
        return DomainFactory.create(state="shut_off", has_managed_save=True)
    return DomainFactory.create(state=STATE_FOR.get(action, "running"), autostart=action == "autostart_off")


@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_is_for_those_who_may(
    action: str, nobody: User, viewer: User, help_desk: User, operator: User
) -> None:
    for user in (nobody, viewer, help_desk, operator):
        domain = guest_for(action)
        if can(user, ACTIONS[action].permission):
            job = act(domain=domain, action=action, user=user, confirm=domain.name)
            assert (job.kind, job.target_id, job.requested_by) == (f"domain.{action}", str(domain.pk), user)
            assert job.virsh.startswith("virsh -c qemu+tcp://127.0.255.254/system ")
        else:
            with pytest.raises(NotPermitted):
                act(domain=domain, action=action, user=user, confirm=domain.name)
            assert not Job.objects.filter(target_id=str(domain.pk)).exists()
        entry = AuditEntry.objects.get(target_id=str(domain.pk))
        assert (entry.action, entry.user) == (f"domain.{action}", user)
        assert entry.refused != can(user, ACTIONS[action].permission)


@pytest.mark.parametrize("action", [action.key for action in ACTIONS.values() if action.loses])
def test_what_destroys_something_is_confirmed_with_the_name(action: str, operator: User) -> None:
    domain = guest_for(action)
    for confirm in ("", "no", domain.name.upper()):
        with pytest.raises(ConfirmationNeeded, match="type its name") as caught:
            act(domain=domain, action=action, user=operator, confirm=confirm)
        assert caught.value.hint == ACTIONS[action].loses
    assert not Job.objects.exists()
    assert act(domain=domain, action=action, user=operator, confirm=domain.name)


def test_an_action_nobody_knows_is_refused(operator: User) -> None:
    with pytest.raises(InvalidInput, match="There is no action 'explode'"):
        act(domain=DomainFactory.create(), action="explode", user=operator)


def test_starting_a_running_guest_is_a_job_too(operator: User) -> None:
    assert act(domain=DomainFactory.create(state="running"), action="start", user=operator).state == "queued"


def test_what_is_not_possible_is_refused_with_the_reason(operator: User) -> None:
    domain = DomainFactory.create(name="web1", state="shut_off")
    with pytest.raises(Conflict, match="Cannot suspend web1: it is off"):
        act(domain=domain, action="suspend", user=operator)


def test_an_unreachable_host_is_not_even_tried(operator: User) -> None:
    domain = DomainFactory.create(host=HostFactory.create(name="kvm9", state=Host.State.UNREACHABLE), name="web1")
    with pytest.raises(Conflict, match=r"Cannot reboot web1: its host kvm9 does not answer\."):
        act(domain=domain, action="reboot", user=operator)


def test_a_guest_that_runs_twice_is_not_started_anywhere(operator: User) -> None:
    with pytest.raises(Conflict, match="active on two hosts at once"):
        act(domain=DomainFactory.create(split_brain=True), action="start", user=operator)


def test_one_thing_at_a_time_is_done_to_a_guest(operator: User, help_desk: User) -> None:
    domain = DomainFactory.create(name="web1")
    act(domain=domain, action="reboot", user=help_desk)
    with pytest.raises(JobInTheWay, match="web1 is busy: “Reboot web1” is waiting, asked for by helpdesk"):
        act(domain=domain, action="suspend", user=operator)


@pytest.mark.parametrize("state", ["queued", "running", "lost"])
@pytest.mark.parametrize("action", ["force_off", "reset"])
def test_waiting_for_a_shutdown_is_not_in_the_way_of_force(
    operator: User, help_desk: User, state: str, action: str
) -> None:
    domain = DomainFactory.create()
    waiting = JobFactory.create(domain=domain, kind="domain.shutdown", state=state, requested_by=help_desk)
    assert act(domain=domain, action=action, user=operator, confirm=domain.name).state == "queued"
    waiting.refresh_from_db()
    assert waiting.state == "cancelled"


def test_a_shutdown_that_ends_this_very_moment_is_not_in_the_way_of_force(
    operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = DomainFactory.create()
    ending = JobFactory.create(domain=domain, kind="domain.shutdown", state="running")
    cancel = jobs.cancel

    def end_first(*, job: Job, user: User | None) -> None:
        Job.objects.filter(pk=ending.pk).update(state="succeeded")
        cancel(job=job, user=user)

    monkeypatch.setattr(jobs, "cancel", end_first)
    assert act(domain=domain, action="force_off", user=operator, confirm=domain.name).state == "queued"


def test_many_guests_get_an_answer_each(operator: User) -> None:
    off = DomainFactory.create(name="off", state="shut_off")
    paused = DomainFactory.create(name="paused", state="paused")
    busy = JobFactory.create(domain=DomainFactory.create(name="busy", state="shut_off")).target_id
    gone, stranger = DomainFactory.create(gone_at=off.state_since).pk, uuid4()
    domain_of_busy = Domain.objects.get(pk=busy).pk

    results = act_on_many(
        uuids=[off.pk, paused.pk, domain_of_busy, gone, stranger, off.pk], action="start", user=operator
    )

    assert [result.name for result in results] == ["off", "paused", "busy", "", ""]
    assert results[0].job is not None
    assert [type(result.error) for result in results] == [type(None), Conflict, JobInTheWay, NotFound, NotFound]
    assert Job.objects.count() == 2


def test_people_without_the_right_get_a_refusal_for_each(nobody: User, viewer: User) -> None:
    uuids = [DomainFactory.create(state="shut_off").pk for _ in range(2)]
    assert [type(result.error) for result in act_on_many(uuids=uuids, action="start", user=viewer)] == [
        NotPermitted
    ] * 2
    assert [type(result.error) for result in act_on_many(uuids=uuids, action="start", user=nobody)] == [NotFound] * 2
    assert not Job.objects.exists()


def test_forcing_many_off_is_confirmed_with_their_number(operator: User) -> None:
    uuids = [DomainFactory.create().pk for _ in range(3)]
    for confirm in ("", "2", "yes"):
        with pytest.raises(ConfirmationNeeded, match="To force off 3 guests, type 3"):
            act_on_many(uuids=uuids, action="force_off", user=operator, confirm=confirm)
    assert all(result.job for result in act_on_many(uuids=uuids, action="force_off", user=operator, confirm="3"))


@pytest.mark.parametrize("count", [0, 501])
def test_none_and_too_many_are_refused(count: int, operator: User) -> None:
    with pytest.raises(InvalidInput, match="from 1 to 500"):
        act_on_many(uuids=[uuid4() for _ in range(count)], action="start", user=operator)


def test_an_action_that_failed_is_asked_for_again_with_all_checks(operator: User, help_desk: User) -> None:
    domain = DomainFactory.create(name="web1", state="shut_off")
    failed = JobFactory.create(domain=domain, kind="domain.start", state="failed", requested_by=help_desk)
    again = jobs.retry(job=failed, user=help_desk)
    assert (again.kind, again.target_id, again.requested_by, again.retry_of) == (
        "domain.start", str(domain.pk), help_desk, failed,
    )  # fmt: skip
    with pytest.raises(JobInTheWay):
        jobs.retry(job=failed, user=operator)


def test_what_is_not_possible_any_more_is_not_tried_again(operator: User, help_desk: User) -> None:
    paused = JobFactory.create(domain=DomainFactory.create(state="paused"), state="failed")
    with pytest.raises(Conflict, match="it is paused"):
        jobs.retry(job=paused, user=operator)
    suspend = JobFactory.create(kind="domain.suspend", state="failed", requested_by=help_desk)
    with pytest.raises(NotPermitted):
        jobs.retry(job=suspend, user=help_desk)
    gone = JobFactory.create(domain=DomainFactory.create(gone_at=suspend.created_at), state="failed")
    with pytest.raises(NotFound):
        jobs.retry(job=gone, user=operator)


def test_what_destroys_something_is_confirmed_once_more(operator: User) -> None:
    job = JobFactory.create(domain=DomainFactory.create(name="web1"), kind="domain.force_off", state="failed")
    for confirm in ("", "web2"):
        with pytest.raises(jobs.ConfirmationNeeded, match="type web1"):
            jobs.retry(job=job, user=operator, confirm=confirm)
    assert jobs.retry(job=job, user=operator, confirm="web1").kind == "domain.force_off"


@pytest.mark.parametrize("action", ["start", "start_paused", "restore", "resume", "wake_up"])
def test_a_guest_that_runs_twice_is_not_made_to_run(action: str, operator: User) -> None:
    domain = running_twice("kvm1", "kvm2")
    assert split_brain_obstacle(domain) == (
        "It is active on two hosts at once (kvm1 and kvm2), which destroys its disks. "
        "Force it off on one of them first."
    )
    with pytest.raises(Conflict, match="kvm1 and kvm2"):
        act(domain=domain, action=action, user=operator)
    assert split_brain_obstacle(DomainFactory.create()) == ""

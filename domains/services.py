"""Asking for actions on guests. What is asked for becomes a job; a worker does it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from domains.action_types import KIND_PREFIX, Action, Seen, in_sentence
from domains.actions import ACTIONS, cannot, obstacle
from domains.models import Domain
from domains.permitted import check_permitted
from vmdash.access.models import User
from vmdash.exceptions import Conflict, InvalidInput, NotFound, VmdashError
from vmdash.jobs import registry
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job

MOST_AT_ONCE = 500


class ConfirmationNeeded(InvalidInput):
    """The action destroys something, and the name of the guest (or the number of guests) was not typed as it is."""


def find_action(key: str) -> Action:
    """The action of that key. Raises InvalidInput."""
    action = ACTIONS.get(key)
    if action is None:
        raise InvalidInput(f"There is no action {key[:40]!r}.", hint=f"Actions: {', '.join(ACTIONS)}.")
    return action


def act(*, domain: Domain, action: str, user: User, confirm: str = "") -> Job:
    """Have the action `action` (a key of `ACTIONS`) done to a guest that `user` may see.

    What has come about already makes a job too, one that succeeds at once: starting a running guest succeeds.

    Raises:
        InvalidInput: there is no such action; ConfirmationNeeded, when `confirm` is not the guest's name.
        NotPermitted: `user` may not.
        Conflict: it is not possible now, and why; JobInTheWay, when something else is being done to the guest.
    """
    chosen = find_action(action)
    check_permitted(user, chosen.permission, domain, chosen.kind_name)
    if chosen.loses and confirm != domain.name:
        raise ConfirmationNeeded(f"To {in_sentence(chosen.titled(domain.name))}, type its name.", hint=chosen.loses)
    return _request(chosen, domain, user)


def act_as_part(*, domain: Domain, action: str, user: User, parent: Job) -> Job:
    """The same as a part of another job, for actions that destroy nothing. Raises as `act`."""
    chosen = find_action(action)
    check_permitted(user, chosen.permission, domain, chosen.kind_name)
    if chosen.loses:
        raise ConfirmationNeeded(f"{chosen.titled(domain.name)} must be confirmed.", hint=chosen.loses)
    return _request(chosen, domain, user, parent)


def act_again(*, job: Job, user: User) -> Job:
    """Have the action of an earlier job done once more, with all checks. What destroys something was confirmed before.

    Raises:
        As `act`, and NotFound: the guest is not in the inventory any more.
    """
    domain = Domain.objects.visible_to(user).select_related("host").filter(pk=job.target_id).first()
    if domain is None:
        raise NotFound(f"{job.target_name} is not in the inventory any more.")
    action = find_action(job.kind.removeprefix(KIND_PREFIX))
    check_permitted(user, action.permission, domain, action.kind_name)
    return _request(action, domain, user)


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What became of one guest of many: a job, or an error."""

    uuid: UUID
    name: str
    """Empty when the guest is not found."""
    job: Job | None = None
    error: VmdashError | None = None


def act_on_many(*, uuids: Sequence[UUID], action: str, user: User, confirm: str = "") -> list[BulkResult]:
    """The same for many guests, each on its own: one result per UUID, in their order.

    Guests that `user` may not see are not found. An action that destroys something is confirmed with the number of
    guests.

    Raises:
        InvalidInput: there is no such action, no guest or too many; ConfirmationNeeded.
    """
    chosen = find_action(action)
    unique = list(dict.fromkeys(uuids))
    if not 0 < len(unique) <= MOST_AT_ONCE:
        raise InvalidInput(f"Choose from 1 to {MOST_AT_ONCE} guests.")
    if chosen.loses and confirm != str(len(unique)):
        raise ConfirmationNeeded(
            f"To {in_sentence(chosen.titled(f'{len(unique)} guests'))}, type {len(unique)}.", hint=chosen.loses
        )
    visible = Domain.objects.visible_to(user).select_related("host").in_bulk(unique)
    return [_act_on_one(chosen, uuid, visible.get(uuid), user) for uuid in unique]


def _act_on_one(action: Action, uuid: UUID, domain: Domain | None, user: User) -> BulkResult:
    if domain is None:
        return BulkResult(uuid, "", error=NotFound("There is no such guest."))
    try:
        check_permitted(user, action.permission, domain, action.kind_name)
        return BulkResult(uuid, domain.name, job=_request(action, domain, user))
    except VmdashError as error:
        return BulkResult(uuid, domain.name, error=error)


def _request(action: Action, domain: Domain, user: User, parent: Job | None = None) -> Job:
    seen = Seen.in_row(domain)
    reason = obstacle(action, domain)
    if not reason and not action.has_come_about(seen):
        reason = action.why_not(seen)
    if reason:
        raise Conflict(cannot(action.titled(domain.name), reason))
    target = jobs.Target(kind="domain", id=str(domain.pk), name=domain.name, host_name=domain.host.name)
    other = jobs.in_the_way(target)
    if other and other.kind in {ACTIONS[key].kind_name for key in action.overtakes}:
        with suppress(Conflict):  # it has ended this very moment; if it is in the way, the next line says so
            jobs.cancel(job=other, user=user)
    return jobs.create(
        kind=registry.get(action.kind_name),
        user=user,
        target=target,
        label=action.titled(domain.name),
        virsh=action.virsh_command(domain),
        parent=parent,
    )

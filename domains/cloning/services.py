"""Asking for clones. What is asked for becomes a job: one clone, or one job with a part for each clone."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from domains.cloning.jobs import CLONE_KIND
from domains.cloning.many import MANY_KIND
from domains.cloning.proposal import Proposal, Wish
from domains.models import Domain
from hosts.connect import endpoint
from hosts.models import Host
from vmdash.access.audit import record
from vmdash.access.roles import Permission, can
from vmdash.exceptions import Conflict, NotFound, NotPermitted
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job

if TYPE_CHECKING:
    from vmdash.access.models import User

MOST_AT_ONCE = 8


def clone(*, domain: Domain, wish: Wish, user: User) -> Job:
    """Have clones made of a guest that `user` may see.

    Raises:
        NotPermitted: `user` may not.
        Conflict: it is not possible, and why; JobInTheWay, when something else is being done to the guest.
    """
    check_permitted(domain, user, CLONE_KIND.name)
    check_permitted(domain, user, CLONE_KIND.name, to=wish.host)
    proposal = Proposal(domain, wish)
    proposal.check()
    parameters = proposal.parameters()
    clones = parameters.pop("clones")
    target = jobs.Target(kind="domain", id=str(domain.pk), name=domain.name, host_name=domain.host.name)
    held = not domain.is_template  # nobody writes to a template's disks, so any number may be cloned at a time
    if not held and (other := jobs.in_the_way(target)):
        raise jobs.JobInTheWay(other, user)
    what = "linked clone" if wish.linked else "clone"
    if len(clones) == 1:
        return jobs.create(
            kind=CLONE_KIND,
            user=user,
            target=target,
            label=f"{'Link a clone of' if wish.linked else 'Clone'} {domain.name} as {clones[0]['name']}",
            parameters={**parameters, "clone": clones[0]},
            virsh="" if wish.linked else _virt_clone(domain, clones[0]["name"]),
            exclusive=held,
        )
    return jobs.create(
        kind=MANY_KIND,
        user=user,
        target=target,
        label=f"Make {len(clones)} {what}s of {domain.name}: {clones[0]['name']} to {clones[-1]['name']}",
        parameters={**parameters, "clones": clones, "at_once": min(wish.at_once, MOST_AT_ONCE)},
        exclusive=held,
    )


def _virt_clone(domain: Domain, name: str) -> str:
    uri = endpoint(domain.host).uri()
    return shlex.join(["virt-clone", "--connect", uri, "--original", domain.name, "--name", name, "--auto-clone"])


def again(*, job: Job, user: User) -> Job:
    """The same once more, with everything checked anew: those of several that are not there yet.

    Raises:
        NotFound, NotPermitted, Conflict: as for `clone`.
    """
    domain = Domain.objects.visible_to(user).select_related("host").filter(pk=job.target_id).first()
    host = Host.objects.visible_to(user).filter(pk=job.parameters["host"]).first()
    if domain is None or host is None:
        raise NotFound(f"{job.target_name} or the host of its clones is not there any more.")
    clones = job.parameters.get("clones") or [job.parameters["clone"]]
    made = set(Domain.objects.present().filter(pk__in=[one["uuid"] for one in clones]).values_list("name", flat=True))
    names = [one["name"] for one in clones if one["name"] not in made]
    if not names:
        raise Conflict("All of its clones are there.")
    wish = Wish(
        names=names,
        host=host,
        linked=job.parameters["linked"],
        pools={target: disk["pool"] for target, disk in job.parameters["disks"].items()},
        start=job.parameters["start"],
        at_once=job.parameters.get("at_once", 2),
    )
    return clone(domain=domain, wish=wish, user=user)


def check_permitted(domain: Domain, user: User, action: str, *, to: Host | None = None) -> None:
    """Whether they may do it with the guest or, with `to`, put clones there. Raises NotPermitted, which is an entry in
    the audit trail."""
    if can(user, Permission.CLONE, to or domain):
        return
    record(
        user=user,
        action=action,
        target_kind="domain",
        target_id=domain.pk,
        target_name=domain.name,
        refused=True,
        detail=f"to {to.name}" if to else "",
    )
    raise NotPermitted(f"You may not {Permission.CLONE.label}{f' on {to.name}' if to else ''}.")

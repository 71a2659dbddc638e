"""Templates: making a guest one, and making it an ordinary guest again. Both are short jobs.

The mark is vmdash's own; the host keeps the definition as it is, without autostart. What protects the disks is that
vmdash neither starts a template nor lets anybody write to its volumes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domains.action_jobs import show_job
from domains.cloning.plan import disks_of
from domains.cloning.services import check_permitted
from domains.models import Domain
from hosts.connect import connected, endpoint
from storage.chains import overlays_of
from vmdash.exceptions import Conflict, NotFound
from vmdash.jobs import services as jobs
from vmdash.jobs.context import JobContext
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind, Outcome, Queue, Result, register

if TYPE_CHECKING:
    from vmdash.access.models import User


def make_template(*, domain: Domain, user: User) -> Job:
    """Have a guest that `user` may see made a template.

    Raises:
        NotPermitted: `user` may not. Conflict: it is active, or something else is being done to it.
    """
    check_permitted(domain, user, TEMPLATE_KIND.name)
    if reason := why_no_template(domain):
        raise Conflict(f"Cannot make {domain.name} a template: {reason}")
    virsh = f"virsh -c {endpoint(domain.host).uri()} autostart --disable {domain.uuid}"
    return _ask(TEMPLATE_KIND, domain, user, f"Make {domain.name} a template", virsh)


def make_guest(*, domain: Domain, user: User) -> Job:
    """Have a template made an ordinary guest again, which can start.

    Raises:
        NotPermitted: `user` may not. Conflict: clones stand on its disks, or are being made.
    """
    check_permitted(domain, user, GUEST_KIND.name)
    if reason := why_no_guest(domain):
        raise Conflict(f"Cannot make {domain.name} an ordinary guest: {reason}")
    return _ask(GUEST_KIND, domain, user, f"Make {domain.name} an ordinary guest again", "")


def why_no_template(domain: Domain) -> str:
    """Why it cannot become a template now, in a sentence; empty when it can."""
    if domain.is_template:
        return "It is one already."
    if domain.is_active:
        return "It runs, and what it writes would change every clone. Shut it down first."
    if domain.has_managed_save:
        return "It has a saved state. Restore it and shut it down, or discard that state."
    if not domain.persistent:
        return "It is transient: its host keeps no definition of it."
    return ""


def why_no_guest(domain: Domain) -> str:
    """Why a template cannot become an ordinary guest now, in a sentence; empty when it can. Some queries a disk."""
    if not domain.is_template:
        return "It is none."
    if Job.objects.unfinished().filter(target_id=str(domain.pk), kind__startswith="domain.clone").exists():
        return "It is being cloned."
    for plan in disks_of(domain):
        overlays = overlays_of(plan.volume) if plan.is_copied and plan.volume else []
        if overlays:
            names = ", ".join(sorted(overlay.name for overlay in overlays)[:3])
            more = f" and {len(overlays) - 3} more" if len(overlays) > 3 else ""
            return (
                f"Linked clones stand on its disk {plan.target}: {names}{more}. What it wrote would destroy them; "
                "delete them first, or make them whole."
            )
    return ""


def _ask(kind: Kind, domain: Domain, user: User, label: str, virsh: str) -> Job:
    target = jobs.Target(kind="domain", id=str(domain.pk), name=domain.name, host_name=domain.host.name)
    return jobs.create(kind=kind, user=user, target=target, label=label, virsh=virsh)


def _domain(job: Job) -> Domain:
    domain = Domain.objects.present().select_related("host__credential").filter(pk=job.target_id).first()
    if domain is None:
        raise NotFound(f"{job.target_name} is not in the inventory any more.")
    return domain


def _mark(ctx: JobContext) -> Result | None:
    domain = _domain(ctx.job)
    with connected(domain.host) as connection:
        guest = connection.guest(str(domain.uuid))
        if guest.is_active():
            raise Conflict(f"Cannot make {domain.name} a template: it runs.", hint="Shut it down first.")
        if guest.autostart():
            guest.set_autostart(False)
            ctx.log(f"It does not start with {domain.host.name} any more")
    Domain.objects.filter(pk=domain.pk).update(is_template=True)
    return None


def _unmark(ctx: JobContext) -> Result | None:
    domain = _domain(ctx.job)
    if reason := why_no_guest(domain):
        raise Conflict(f"Cannot make {domain.name} an ordinary guest: {reason}")
    Domain.objects.filter(pk=domain.pk).update(is_template=False)
    return None


def _marked(ctx: JobContext) -> Outcome:
    return _outcome(ctx, wanted=True)


def _unmarked(ctx: JobContext) -> Outcome:
    return _outcome(ctx, wanted=False)


def _outcome(ctx: JobContext, *, wanted: bool) -> Outcome:
    is_template = _domain(ctx.job).is_template
    words = f"It was interrupted: {ctx.job.target_name} is {'a template' if is_template else 'an ordinary guest'}."
    return Outcome(Job.State.SUCCEEDED if is_template == wanted else Job.State.FAILED, words)


TEMPLATE_KIND = register(
    Kind(
        name="domain.make_template",
        run=_mark,
        reconcile=_marked,
        queue=Queue.ACTIONS,
        exclusive=True,
        time_limit_s=60,
        on_change=show_job,
    )
)
GUEST_KIND = register(
    Kind(
        name="domain.make_guest",
        run=_unmark,
        reconcile=_unmarked,
        queue=Queue.ACTIONS,
        exclusive=True,
        time_limit_s=60,
        on_change=show_job,
    )
)

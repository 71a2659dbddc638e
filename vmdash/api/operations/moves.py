"""Guests that move, are cloned, become templates, or are made."""

from typing import Annotated, Any, Literal
from uuid import UUID

from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema, Status

from domains.cloning import marking
from domains.cloning import services as cloning
from domains.cloning.forms import CloneForm
from domains.defining import services as defining
from domains.defining.forms import NewGuestForm
from domains.migration import services as migration
from domains.migration.forms import MoveForm
from domains.migration.page import move_page, targets
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.api.checked import checked
from vmdash.api.once import once
from vmdash.api.operations.guests import find_guest
from vmdash.api.operations.guests import router as guests
from vmdash.api.operations.hosts import find_host
from vmdash.api.operations.jobs import Job, asked_for
from vmdash.api.shapes import Input, Line
from vmdash.exceptions import InvalidInput
from vmdash.jobs.models import Job as JobRow

router = Router(tags=["guests"])
orders = Router(tags=["jobs"])


class Target(Schema):
    """A host that a guest might move to."""

    host: str
    possible: bool = Field(description="As far as is known.")
    obstacle: str = Field(description="What is in the way by what the inventory knows.")
    verdict: str = Field(description="Of the last check: passed, warned or failed; empty: not checked.")
    lines: list[str] = Field(description="What the check found.")


class CheckWish(Input):
    targets: list[Line] = Field([], max_length=migration.MOST_TARGETS, description="Names of hosts; none: any.")


class MoveWish(Input):
    target: Line = Field(description="The name of the host.")
    bandwidth_mib_s: int | None = Field(None, ge=1, le=1_000_000)
    parallel: int | None = Field(None, ge=2, le=16)
    auto_converge: bool = True
    post_copy: bool = False
    compress: bool = False
    tls: bool = False
    persistent: bool = True
    remove_copied: bool = True
    data_uri: Line = Field("", max_length=200)


class OrderWish(Input):
    order: Literal["downtime", "bandwidth", "post_copy", "pause"]
    amount: int = Field(0, ge=0, le=1_000_000)


class CloneWish(Input):
    name: Line = Field(description="Of several: with {n} where the number goes, as in web-{n}.")
    count: int = Field(1, ge=1, le=100)
    first: int = Field(1, ge=0, le=1_000_000)
    linked: bool = False
    host: Line = Field("", description="Empty: that of the guest.")
    pool: Line = Field("", description="Empty: each disk in the pool that it is in now.")
    pools: dict[Line, Line] = Field({}, max_length=64, description="By disk, such as vda, where it differs.")
    start: bool = False
    at_once: int = Field(2, ge=1, le=cloning.MOST_AT_ONCE)


class TemplateWish(Input):
    template: bool


class NewGuestWish(Input):
    host: Line
    name: Line
    title: Line = ""
    vcpus: int = Field(1, ge=1, le=512)
    memory_bytes: Annotated[int, Field(ge=16 << 20, lt=1 << 62)] = 1 << 30
    disk: Line = Field("new", description="`new`, POOL/VOLUME, or empty for none.")
    pool: Line = Field("", description="Of a new disk.")
    size_bytes: Annotated[int, Field(gt=0, lt=1 << 62)] = 10 << 30
    medium: Line = Field("", description="POOL/VOLUME to install from.")
    network: Line = ""
    firmware: Literal["bios", "efi"] = "bios"
    start: bool = True


@router.get("/{uuid:uuid}/migrate", response=list[Target])
@allow(Permission.MIGRATE)
def list_migration_targets(request: SignedInRequest, uuid: UUID) -> list[Target]:
    """Where it might move to, with what the last check found."""
    guest = find_guest(request, uuid, Permission.MIGRATE)
    return [
        Target(
            host=card.host.name,
            possible=card.is_possible,
            obstacle=card.obstacle,
            verdict=card.verdict,
            lines=[line.words for line in card.lines],
        )
        for card in move_page(guest, request.user).cards
    ]


@router.post("/{uuid:uuid}/migrate/checks", response={202: Job})
@allow(Permission.MIGRATE)
@once
def check_migration(request: SignedInRequest, uuid: UUID, wish: CheckWish) -> Status[Job]:
    """Have the workers check where it can move."""
    guest = find_guest(request, uuid, Permission.MIGRATE)
    hosts = [find_host(request, name) for name in wish.targets] or targets(guest, request.user)
    job = migration.request_check(domain=guest, targets=hosts[: migration.MOST_TARGETS], user=request.user)
    return asked_for(request, job)


@router.post("/{uuid:uuid}/migrate", response={202: Job})
@allow(Permission.MIGRATE)
@once
def migrate_guest(request: SignedInRequest, uuid: UUID, wish: MoveWish) -> Status[Job]:
    guest = find_guest(request, uuid, Permission.MIGRATE)
    target = find_host(request, wish.target)
    form = MoveForm(wish.dict(exclude={"target"}))
    found = checked(form)
    job = migration.request_migration(
        domain=guest,
        target=target,
        user=request.user,
        options=form.options(),
        remove_copied=found["remove_copied"],
    )
    return asked_for(request, job)


@orders.post("/{uuid:job_id}/orders", response={202: Job})
@allow(Permission.MIGRATE)
def order_migration(request: SignedInRequest, job_id: UUID, wish: OrderWish) -> Status[Job]:
    """A way out of a migration that stalls. `amount`: ms for downtime, MiB/s for bandwidth."""
    job = get_object_or_404(JobRow.objects.visible_to(request.user), pk=job_id)
    migration.give_order(job=job, key=wish.order, amount=wish.amount, user=request.user)
    return asked_for(request, job)


@router.post("/{uuid:uuid}/clone", response={202: Job})
@allow(Permission.CLONE)
@once
def clone_guest(request: SignedInRequest, uuid: UUID, wish: CloneWish) -> Status[Job]:
    guest = find_guest(request, uuid, Permission.CLONE)
    host = find_host(request, wish.host, Permission.CLONE) if wish.host else guest.host
    sent: dict[str, Any] = {
        **wish.dict(include={"name", "count", "first", "start", "at_once"}),
        "kind": "linked" if wish.linked else "full",
        "place": f"{host.pk}/{wish.pool}" if wish.pool else str(host.pk),
        **{f"pool_{target}": pool for target, pool in wish.pools.items()},
    }
    form = CloneForm(guest, request.user, sent)
    if unknown := wish.pools.keys() - set(form.targets):
        raise InvalidInput(f"No disk of {guest.name} that is copied is called {', '.join(sorted(unknown))}.")
    checked(form)
    return asked_for(request, cloning.clone(domain=guest, wish=form.wish([]), user=request.user))


@router.post("/{uuid:uuid}/template", response={202: Job})
@allow(Permission.CLONE)
@once
def mark_template(request: SignedInRequest, uuid: UUID, wish: TemplateWish) -> Status[Job]:
    """Make it a template, which never starts and is cloned; or an ordinary guest again."""
    guest = find_guest(request, uuid, Permission.CLONE)
    ask = marking.make_template if wish.template else marking.make_guest
    return asked_for(request, ask(domain=guest, user=request.user))


@guests.post("", response={202: Job})
@allow(Permission.DEFINE)
@once
def define_guest(request: SignedInRequest, wish: NewGuestWish) -> Status[Job]:
    host = find_host(request, wish.host, Permission.DEFINE)
    sent = wish.dict(exclude={"host", "memory_bytes", "size_bytes"})
    sent |= {"memory": f"{wish.memory_bytes} bytes", "size": f"{wish.size_bytes} bytes"}
    form = NewGuestForm(sent, host=host, user=request.user)
    checked(form)
    return asked_for(request, defining.define(host=host, wish=form.wish(), user=request.user))

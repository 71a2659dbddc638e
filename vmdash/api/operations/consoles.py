"""Consoles: where they are for people, and tickets for scripts."""

from typing import Any, Literal
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import reverse
from ninja import Field, Router, Schema, Status

from domains.consoles import services
from domains.consoles.opening import CONSOLE_OPEN
from domains.consoles.tickets import Kind
from domains.consoles.views import connection_of
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.api.bearer import shown_in
from vmdash.api.operations.guests import find_guest
from vmdash.api.operations.jobs import Job, asked_for
from vmdash.api.shapes import Input
from vmdash.exceptions import Conflict
from vmdash.jobs.models import Job as JobRow

router = Router(tags=["consoles"])


class ConsolePlace(Schema):
    kind: str
    url: str = Field(description="The page, for a browser in which somebody is signed in.")
    why_not: str = Field(description="Why there is none now.")


class ConsoleWish(Input):
    kind: Literal["screen", "serial"]
    take_over: bool = Field(False, description="End another client's session, of the serial console.")


class Connection(Schema):
    """For a WebSocket, within 30 s and once. Send the same `Authorization` header there."""

    url: str
    protocols: list[str] = Field(description="To be offered as subprotocols: the last is the ticket.")
    password: str = Field(description="Of the screen, for VNC; empty: none.")


@router.get("/{uuid:uuid}/console", response=list[ConsolePlace])
@allow(Permission.CONSOLE)
def list_consoles(request: SignedInRequest, uuid: UUID) -> list[ConsolePlace]:
    guest = find_guest(request, uuid, Permission.CONSOLE)
    pages = (("screen", "console", Kind.VNC), ("serial", "serial-console", Kind.SERIAL))
    return [
        ConsolePlace(
            kind=name,
            url=request.build_absolute_uri(reverse(page, args=[uuid])),
            why_not=services.why_not(guest, kind),
        )
        for name, page, kind in pages
    ]


@router.post("/{uuid:uuid}/console", response={200: Connection, 202: Job})
@allow(Permission.CONSOLE)
def open_console(request: SignedInRequest, uuid: UUID, wish: ConsoleWish) -> Status[Any]:
    """The serial console at once; a screen has to be prepared first: then the answer is the job."""
    guest = find_guest(request, uuid, Permission.CONSOLE)
    if wish.kind == "screen":
        return asked_for(request, services.ask_for_screen(domain=guest, user=request.user))
    admission = services.open_serial(
        domain=guest, user=request.user, session_key=shown_in(request), take_over=wish.take_over
    )
    return Status(200, Connection(**connection_of(request, admission)))


@router.post("/{uuid:uuid}/console/{uuid:job_id}", response={200: Connection, 202: Job})
@allow(Permission.CONSOLE)
def collect_console(request: SignedInRequest, uuid: UUID, job_id: UUID) -> Status[Any]:
    """What the job has prepared for you, once; 202 while it runs."""
    guest = find_guest(request, uuid, Permission.CONSOLE)
    mine = JobRow.objects.filter(kind=CONSOLE_OPEN.name, target_id=str(guest.pk), requested_by=request.user)
    job = get_object_or_404(mine, pk=job_id)
    if job.state in JobRow.UNFINISHED:
        return asked_for(request, job)
    if job.state != JobRow.State.SUCCEEDED:
        raise Conflict(job.error or "Opening it was interrupted.", hint="Open it again.")
    admission = services.collect(job=job, user=request.user, session_key=shown_in(request))
    return Status(200, Connection(**connection_of(request, admission)))

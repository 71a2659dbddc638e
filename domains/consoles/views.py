"""The pages of consoles, and what their scripts ask for."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import redis
from csp.constants import UNSAFE_INLINE
from csp.decorators import csp_update
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from domains.consoles import services
from domains.consoles.opening import CONSOLE_OPEN
from domains.consoles.services import Admission
from domains.consoles.tickets import SUBPROTOCOL_PREFIX, Kind
from domains.models import Domain
from domains.rows import guest_row
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission, can
from vmdash.exceptions import Conflict, NotFound, VmdashError
from vmdash.formats import milliseconds
from vmdash.jobs.models import Job
from vmdash.live.redis import client, screen_key


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@allow(Permission.CONSOLE)
def console(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    """The screen. POST asks for it and answers 202 with the address to ask for the ticket."""
    domain = _domain(request, uuid)
    if request.method != "POST":
        return render(request, "domains/console.html", _page(request, domain, Kind.VNC))
    try:
        job = services.ask_for_screen(domain=domain, user=request.user)
    except Conflict as error:
        return _refusal(error, 409)
    return JsonResponse({"ticket": reverse("console-ticket", args=[uuid, job.pk])}, status=202)


@require_safe
@never_cache
@allow(Permission.CONSOLE)
def console_ticket(request: SignedInRequest, uuid: UUID, job_id: UUID) -> HttpResponse:
    """What the job prepared, for the one who asked, once; 202 while it runs."""
    domain = _domain(request, uuid)
    job = get_object_or_404(Job, pk=job_id, kind=CONSOLE_OPEN.name, target_id=str(domain.pk), requested_by=request.user)
    if job.state in (Job.State.QUEUED, Job.State.RUNNING):
        return JsonResponse({"state": job.state}, status=202)
    if job.state != Job.State.SUCCEEDED:
        error = job.error or "Opening it was interrupted."
        return JsonResponse({"error": error, "detail": job.error_detail, "retry": True}, status=409)
    try:
        admission = services.collect(job=job, user=request.user, session_key=request.session.session_key or "")
    except NotFound as error:
        return _refusal(error, 410)
    return JsonResponse(connection_of(request, admission))


# xterm.js builds its style sheets and styles of cells in the browser: https://github.com/xtermjs/xterm.js/issues/4445
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@allow(Permission.CONSOLE)
@csp_update({"style-src": [UNSAFE_INLINE]})  # type: ignore[arg-type]  # its views take a request alone
def serial_console(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    """The serial line. POST answers with a ticket; `take_over=yes` ends another client's session."""
    domain = _domain(request, uuid)
    if request.method != "POST":
        return render(request, "domains/console_serial.html", _page(request, domain, Kind.SERIAL))
    try:
        admission = services.open_serial(
            domain=domain,
            user=request.user,
            session_key=request.session.session_key or "",
            take_over=request.POST.get("take_over") == "yes",
        )
    except Conflict as error:
        return _refusal(error, 409)
    return JsonResponse(connection_of(request, admission))


@require_safe
@allow(Permission.CONSOLE)
def screen(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    """The last picture of the screen that the collector took, with its age in seconds and its time in Unix ms."""
    domain = _domain(request, uuid)
    try:
        picture = client().hgetall(screen_key(domain.pk))
    except redis.RedisError:
        picture = {}
    if not picture:
        return HttpResponse("There is no picture of this screen.", status=404, content_type="text/plain")
    taken_at = int(picture[b"at"])
    age_s = max(0, milliseconds(timezone.now()) - taken_at) // 1000
    headers = {"Cache-Control": "no-store", "Age": str(age_s), "X-Taken-At": str(taken_at)}
    return HttpResponse(picture[b"png"], content_type="image/png", headers=headers)


def _domain(request: SignedInRequest, uuid: UUID) -> Domain:
    domain = get_object_or_404(Domain.objects.visible_to(request.user).select_related("host"), pk=uuid)
    check(request, Permission.CONSOLE, domain)
    return domain


def _page(request: SignedInRequest, domain: Domain, kind: Kind) -> dict[str, Any]:
    return {
        "domain": domain,
        "row": guest_row(domain),
        "reason": services.why_not(domain, kind),
        "may_start": can(request.user, Permission.POWER, domain),
    }


def _refusal(error: VmdashError, status: int) -> JsonResponse:
    """`retry`: whether asking again by itself may help."""
    return JsonResponse({"error": str(error), "detail": error.detail, "retry": status == 410}, status=status)


def connection_of(request: HttpRequest, admission: Admission) -> dict[str, Any]:
    """What the script passes to `new WebSocket(url, protocols)`; the ticket travels as a subprotocol."""
    return {
        "url": f"{_gateway(request)}/{admission.kind}/{admission.guest}",
        "protocols": ["binary", f"{SUBPROTOCOL_PREFIX}{admission.token}"],
        "password": admission.password,
    }


def _gateway(request: HttpRequest) -> str:
    """The gateway's address as this browser reaches it. The session cookie must reach it too: same host name."""
    if settings.CONSOLE_URL:
        return settings.CONSOLE_URL.rstrip("/")
    scheme = "wss" if request.is_secure() else "ws"
    name = re.sub(r":\d+\Z", "", request.get_host())
    return f"{scheme}://{name}:{settings.CONSOLE_LISTEN[1]}"

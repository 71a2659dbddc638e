"""The page on which a guest is moved, and what is asked for there."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from domains.migration import services
from domains.migration.forms import MoveForm, OrderForm
from domains.migration.page import move_page, running, targets
from domains.models import Domain
from hosts.models import Host
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.exceptions import InvalidInput, VmdashError
from vmdash.jobs.models import Job


@require_safe
@allow(Permission.MIGRATE)
def page(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    """Where to, with check lists; while it moves, how far it is. `?target=HOST` offers that host first."""
    domain = _guest(request, uuid)
    return _show(request, domain, MoveForm(initial={"persistent": domain.persistent}))


@require_POST
@allow(Permission.MIGRATE)
def check_targets(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    """Ask the workers whether it can move to these hosts (`target`, once per host; none: to any)."""
    domain = _guest(request, uuid)
    chosen = set(request.POST.getlist("target"))
    hosts = [host for host in targets(domain, request.user) if not chosen or str(host.pk) in chosen]
    try:
        services.request_check(domain=domain, targets=hosts[: services.MOST_TARGETS], user=request.user)
    except VmdashError as error:
        messages.error(request, str(error))
    wanted = _wanted(request)
    return redirect(reverse("guest-migrate", args=[uuid], query={"target": wanted} if wanted else None))


@require_POST
@allow(Permission.MIGRATE)
def start(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    """Move it to `target`. JSON where it is asked for: 202 `{"job": {"id", "url"}}`, or 4xx `{"error", "hint"}`."""
    domain = _guest(request, uuid)
    form = MoveForm(request.POST)
    wants_json = request.get_preferred_type(["text/html", "application/json"]) == "application/json"
    if not form.is_valid():
        if wants_json:
            return _problem(InvalidInput("Some options are not right.", hint=form.errors.as_text()))
        return _show(request, domain, form, 400)
    target = get_object_or_404(Host.objects.visible_to(request.user), pk=_number(request.POST.get("target", "")))
    check(request, Permission.MIGRATE, target)
    try:
        job = services.request_migration(
            domain=domain,
            target=target,
            user=request.user,
            options=form.options(),
            remove_copied=form.cleaned_data["remove_copied"],
        )
    except VmdashError as error:
        if wants_json:
            return _problem(error)
        messages.error(request, str(error))
    else:
        if wants_json:
            return JsonResponse({"job": {"id": str(job.pk), "url": reverse("job", args=[job.pk])}}, status=202)
    return redirect("guest-migrate", uuid)


@require_POST
@allow(Permission.MIGRATE)
def order(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    """A way out of one that stalls. Fields: `job`, `order`, `amount`."""
    _guest(request, uuid)
    form = OrderForm(request.POST)
    if not form.is_valid():
        messages.error(request, "This is no order.")
        return redirect("guest-migrate", uuid)
    found = form.cleaned_data
    job = get_object_or_404(Job.objects.visible_to(request.user), pk=found["job"], target_id=str(uuid))
    try:
        services.give_order(job=job, key=found["order"], amount=found["amount"] or 0, user=request.user)
        messages.success(request, "Asked for; the log of the job tells what came of it.")
    except VmdashError as error:
        messages.error(request, str(error))
    return redirect("guest-migrate", uuid)


def _show(request: SignedInRequest, domain: Domain, form: MoveForm, status: int = 200) -> HttpResponse:
    shown = move_page(domain, request.user, _wanted(request))
    context = {"page": shown, "form": form, "running": running(shown.current.job) if shown.current else None}
    return render(request, "domains/migration/move.html", context, status=status)


def _problem(error: VmdashError) -> JsonResponse:
    status = 400 if isinstance(error, InvalidInput) else 409
    return JsonResponse({"error": error.message, "hint": error.hint}, status=status)


def _wanted(request: HttpRequest) -> str:
    return request.GET.get("target", "")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _guest(request: HttpRequest, uuid: UUID) -> Domain:
    domain = get_object_or_404(Domain.objects.visible_to(request.user).select_related("host__site"), pk=uuid)
    check(request, Permission.MIGRATE, domain)
    return domain

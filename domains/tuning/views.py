"""The page on which a guest is given more or less."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from domains.models import Domain
from domains.tuning import services
from domains.tuning.page import plan_of, tune_page
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.exceptions import VmdashError


@require_safe
@allow(Permission.OPERATE)
def tuning(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    """What it has; and, where something else was asked for, what would be set."""
    domain = _guest(request, uuid)
    check(request, Permission.OPERATE, domain)
    return _show(request, domain, request.GET)


@require_POST
@allow(Permission.OPERATE)
def tune(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    domain = _guest(request, uuid)
    check(request, Permission.OPERATE, domain)
    plan = plan_of(domain, request.user, request.POST)
    if not plan.form.is_valid():
        return _show(request, domain, request.POST)
    try:
        job = services.tune(domain=domain, wanted=plan.wanted, user=request.user)
    except VmdashError as error:
        messages.error(request, str(error))
        return _show(request, domain, request.POST, 409)
    return redirect("job", job.pk)


@require_POST
@allow(Permission.OPERATE)
def undo(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    domain = _guest(request, uuid)
    check(request, Permission.OPERATE, domain)
    try:
        job = services.undo(domain=domain, user=request.user)
    except VmdashError as error:
        messages.error(request, str(error))
        return redirect("guest-tune", uuid)
    return redirect("job", job.pk)


def _show(request: SignedInRequest, domain: Domain, asked: QueryDict, status: int = 200) -> HttpResponse:
    page = tune_page(domain, request.user, asked)
    if page.plan.form.errors:
        status = 400
    return render(request, "domains/tuning/tune.html", {"domain": domain, "page": page}, status=status)


def _guest(request: HttpRequest, uuid: UUID) -> Domain:
    return get_object_or_404(Domain.objects.visible_to(request.user).select_related("host"), pk=uuid)

"""The page on which a guest is placed in its host's cells."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from domains.models import Domain
from domains.numa import selectors, services
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.exceptions import Conflict, InvalidInput, VmdashError
from vmdash.live import cache
from vmdash.virt.errors import InvalidDefinition
from vmdash.virt.xml.placement import Placement


@require_safe
@allow(Permission.OPERATE)
def placing(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    """What would be set, before it is."""
    domain = _guest(request, uuid)
    check(request, Permission.OPERATE, domain)
    return _show(request, domain, request.GET.get("cell", ""))


@require_POST
@allow(Permission.OPERATE)
def place(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    domain = _guest(request, uuid)
    check(request, Permission.OPERATE, domain)
    choice = request.POST.get("cell", "")
    try:
        job = services.place(domain=domain, choice=choice, user=request.user)
    except VmdashError as error:
        messages.error(request, str(error))
        return _show(request, domain, choice, 400 if isinstance(error, InvalidInput) else 409)
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
        return redirect("guest-tab", uuid, "cpu")
    return redirect("job", job.pk)


def _show(request: SignedInRequest, domain: Domain, choice: str, status: int = 200) -> HttpResponse:
    tick = cache.ticks([domain.host_id]).get(domain.host_id)
    try:
        wanted, obstacle = services.wanted_placement(domain, choice), ""
    except (Conflict, InvalidInput) as error:
        wanted, obstacle = None, str(error)
        if isinstance(error, InvalidInput):
            status = 400
    context = {
        "domain": domain,
        "cells": selectors.cells_of(domain.host),
        "finding": selectors.finding_of(domain, tick),
        "choice": choice,
        "before": _words_before(domain),
        "after": services.words_of(wanted) if wanted else "",
        "obstacle": obstacle,
        "policy_waits": bool(wanted and wanted.mode) and domain.is_active,
    }
    return render(request, "domains/numa/place.html", context, status=status)


def _words_before(domain: Domain) -> str:
    try:
        return services.words_of(Placement.parse(domain.xml)) if domain.xml else "not read yet"
    except InvalidDefinition:
        return "not known: its definition cannot be understood"


def _guest(request: HttpRequest, uuid: UUID) -> Domain:
    return get_object_or_404(Domain.objects.visible_to(request.user).select_related("host"), pk=uuid)

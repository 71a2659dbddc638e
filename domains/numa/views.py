"""The page on which a guest is placed in its host's cells."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from domains.models import Domain
from domains.numa import services
from domains.numa.page import place_page
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.exceptions import InvalidInput, VmdashError


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
    shown = place_page(domain, choice, request.user)
    if isinstance(shown.refused, InvalidInput):
        status = 400
    context = {"domain": domain, "choice": choice, "page": shown}
    return render(request, "domains/numa/place.html", context, status=status)


def _guest(request: HttpRequest, uuid: UUID) -> Domain:
    return get_object_or_404(Domain.objects.visible_to(request.user).select_related("host"), pk=uuid)

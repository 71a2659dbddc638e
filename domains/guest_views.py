"""The page of one guest."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from domains import charts, tagging
from domains.forms import TagsForm
from domains.guest_page import TABS, page_of
from domains.models import Domain
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.exceptions import Unavailable


@require_safe
@allow(Permission.VIEW)
def guest(request: SignedInRequest, uuid: UUID, tab: str = "overview") -> HttpResponse:
    """What it is and how it does, in tabs that are pages of their own."""
    if tab not in TABS:
        raise Http404("A guest's page has no such part.")
    page = page_of(_guest(request, uuid), request.user)
    return render(request, f"domains/guest_{tab}.html", {"page": page, "tab": tab, "tabs": TABS})


@require_safe
@allow(Permission.VIEW)
def chart_data(request: SignedInRequest, uuid: UUID) -> JsonResponse:
    """The last hour in figures; 503 while the history store does not answer."""
    try:
        return JsonResponse(charts.last_hour(_guest(request, uuid)))
    except Unavailable as error:
        return JsonResponse({"error": error.message, "hint": error.hint}, status=503)


@require_safe
@allow(Permission.VIEW)
def definition(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    """The XML as a file, without secrets."""
    found = _guest(request, uuid)
    if not found.xml:
        raise Http404("The definition of this guest has not been read yet.")
    return HttpResponse(
        found.xml,
        content_type="application/xml; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{found.uuid}.xml"'},
    )


@require_POST
@allow(Permission.OPERATE)
def tags(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    """Replace the guest's tags."""
    found = _guest(request, uuid)
    check(request, Permission.OPERATE, found)
    form = TagsForm(request.POST)
    if form.is_valid():
        tagging.set_tags(domain=found, names=form.cleaned_data["tags"], user=request.user)
        messages.success(request, "The tags are saved.")
        return redirect("guest", uuid)
    page = page_of(found, request.user)
    context = {"page": page, "tab": "overview", "tabs": TABS, "tags_form": form}
    return render(request, "domains/guest_overview.html", context, status=400)


def _guest(request: HttpRequest, uuid: UUID) -> Domain:
    return get_object_or_404(Domain.objects.visible_to(request.user).select_related("host__site"), pk=uuid)

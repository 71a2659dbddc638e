"""The page of one guest."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from domains import notes, tagging
from domains.forms import NoteForm, TagsForm
from domains.guest_page import TABS, page_of
from domains.models import Domain
from domains.steal.over_time import cpu_charts
from domains.timeline.charts import guest_charts
from domains.timeline.events import guest_events
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.metrics.panel import Form, Panel, answer, chosen_window


@require_safe
@allow(Permission.VIEW)
def guest(request: SignedInRequest, uuid: UUID, tab: str = "overview") -> HttpResponse:
    """What it is and how it does, in tabs that are pages of their own."""
    if tab not in TABS:
        raise Http404("A guest's page has no such part.")
    return render(request, f"domains/guest_{tab}.html", _context(request, _guest(request, uuid), tab))


@require_safe
@allow(Permission.VIEW)
def chart_data(request: SignedInRequest, uuid: UUID, form: Form) -> HttpResponse:
    """Its charts in figures; 503 while the history store does not answer."""
    found = _guest(request, uuid)
    return answer(
        request.GET,
        form,
        found.name,
        lambda window: guest_charts(found, window),
        lambda window: guest_events(found, request.user, window),
    )


@require_safe
@allow(Permission.VIEW)
def cpu_chart_data(request: SignedInRequest, uuid: UUID, form: Form) -> HttpResponse:
    """The charts of its CPU part in figures."""
    found = _guest(request, uuid)
    return answer(
        request.GET,
        form,
        f"{found.name}-cpu",
        lambda window: cpu_charts(found, request.user, window),
        lambda window: guest_events(found, request.user, window),
    )


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
    return _refused(request, found, tags_form=form)


@require_POST
@allow(Permission.OPERATE)
def note(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    """Say whose guest it is, and what to know before it is stopped."""
    found = _guest(request, uuid)
    check(request, Permission.OPERATE, found)
    form = NoteForm(request.POST)
    if form.is_valid():
        notes.set_note(domain=found, user=request.user, **form.cleaned_data)
        messages.success(request, "Owner and note are saved.")
        return redirect("guest", uuid)
    return _refused(request, found, note_form=form)


def _refused(request: SignedInRequest, found: Domain, **form: forms.Form) -> HttpResponse:
    """The page again, with what is wrong in a form of it."""
    return render(request, "domains/guest_overview.html", _context(request, found, "overview") | form, status=400)


def _context(request: SignedInRequest, found: Domain, tab: str) -> dict[str, Any]:
    page = page_of(found, request.user)
    return {"page": page, "tab": tab, "tabs": TABS, "panel": _panel(request, page.domain, tab)}


def _panel(request: SignedInRequest, guest: Domain, tab: str) -> Panel:
    window = chosen_window(request.GET)
    if tab == "cpu":
        address = reverse("guest-cpu-charts", args=[guest.pk, "json"]).removesuffix(".json")
        return Panel(address, window, cpu_charts(guest, request.user, window))
    address = reverse("guest-charts", args=[guest.pk, "json"]).removesuffix(".json")
    return Panel(address, window, guest_charts(guest, window))


def _guest(request: HttpRequest, uuid: UUID) -> Domain:
    return get_object_or_404(Domain.objects.visible_to(request.user).select_related("host__site"), pk=uuid)

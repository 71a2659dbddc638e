"""Capacity: what there is, what is used, what if a host fails, and when it is full."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from domains.capacity import export, mail
from domains.capacity.forms import ViewForm, WhatIfForm
from domains.capacity.models import CapacityMail, Scope
from domains.capacity.page import charts_of, columns, courses_of, filling_pools, ordered
from domains.capacity.sheet import KINDS, Line, Sheet, sheet
from domains.capacity.what_if import answer
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.exceptions import VmdashError

FIRST_FINDINGS = 8
FINDINGS_A_PAGE = 100


@require_safe
@allow(Permission.VIEW)
def capacity(request: SignedInRequest) -> HttpResponse:
    """The fleet; `?site=NAME` shows one site and its hosts."""
    sort = _form(request).cleaned_data["sort"] or "name"
    found = sheet(request.user)
    line = _site(found, request.GET["site"]) if request.GET.get("site") else found.fleet
    hosts = [host for host in found.hosts if line.scope == Scope.FLEET or host.machines[0].site == line.name]
    context = {
        "sheet": found,
        "line": line,
        "sites": found.sites if line.scope == Scope.FLEET and len(found.sites) > 1 else [],
        "hosts": ordered(hosts, sort),
        "columns": columns(sort),
        "charts": charts_of(request.user, Scope(line.scope), line.key) if found.whole else [],
        "courses": courses_of(request.user, Scope(line.scope), line.key) if found.whole else None,
        "pools": filling_pools(request.user, line) if found.whole else [],
        "kinds": [(kind, found.findings[kind][:FIRST_FINDINGS], len(found.findings[kind])) for kind in KINDS],
        "mail": CapacityMail.objects.filter(user=request.user).first(),
        "why_no_mail": mail.why_no_mail(request.user),
        "now": timezone.now(),
    }
    return render(request, "capacity/capacity.html", context)


@require_safe
@allow(Permission.VIEW)
def host(request: SignedInRequest, name: str) -> HttpResponse:
    """One host: where its guests would go if it failed, and its forecasts."""
    found = sheet(request.user)
    line = next((one for one in found.hosts if one.name == name), None)
    if line is None:
        raise Http404(f"There is no host {name} whose capacity is counted.")
    charts = charts_of(request.user, Scope.HOST, line.key) if found.whole else []
    courses = courses_of(request.user, Scope.HOST, line.key) if found.whole else None
    context = {"sheet": found, "line": line, "charts": charts, "courses": courses}
    return render(request, "capacity/host.html", context)


@require_safe
@allow(Permission.VIEW)
def guests(request: SignedInRequest) -> HttpResponse:
    """All guests of one finding: starved, oversized or idle."""
    kind = _form(request).cleaned_data["kind"] or KINDS[0]
    found = sheet(request.user)
    page = Paginator(found.findings[kind], FINDINGS_A_PAGE).get_page(request.GET.get("page"))
    counts = [(each, len(found.findings[each])) for each in KINDS]
    return render(request, "capacity/guests.html", {"sheet": found, "kind": kind, "page": page, "counts": counts})


@require_safe
@allow(Permission.VIEW)
def what_if(request: SignedInRequest) -> HttpResponse:
    """The fleet with more hosts or guests, as the address asks. Nothing is stored."""
    asked = any(name in request.GET for name in WhatIfForm.base_fields)
    form = WhatIfForm(request.GET if asked else None, user=request.user)
    found = sheet(request.user)
    wish = form.wish() if asked and form.is_valid() else None
    given = answer(found.park, wish, request.user) if wish and not wish.is_empty and found.whole else None
    context = {"form": form, "sheet": found, "answer": given}
    return render(request, "capacity/what_if.html", context, status=400 if asked and not form.is_valid() else 200)


@require_safe
@allow(Permission.VIEW)
def table(request: SignedInRequest, name: str) -> HttpResponse:
    """The hosts, the failures or the findings as CSV."""
    if name not in export.TABLES:
        raise Http404(f"There is no table {name}.")
    response = HttpResponse(export.TABLES[name](sheet(request.user)), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="capacity-{name}-{timezone.localdate()}.csv"'
    return response


@require_POST
@allow(Permission.VIEW)
def weekly_mail(request: SignedInRequest) -> HttpResponse:
    """Ask for the weekly summary (`want=yes`), or have no more of them (`want=no`)."""
    want = request.POST.get("want", "")
    if want not in ("yes", "no"):
        raise BadRequest("Say whether the weekly summary is wanted: want=yes or want=no.")
    try:
        if want == "yes":
            mail.subscribe(user=request.user)
            messages.success(request, f"A summary will be sent to {request.user.email} every Monday.")
        else:
            mail.unsubscribe(user=request.user)
            messages.success(request, "The weekly summary will not be sent any more.")
    except VmdashError as error:
        messages.error(request, str(error))
    return redirect("capacity")


def _form(request: SignedInRequest) -> ViewForm:
    form = ViewForm(request.GET)
    if not form.is_valid():
        raise BadRequest(" ".join(str(error) for errors in form.errors.values() for error in errors))
    return form


def _site(found: Sheet, name: str) -> Line:
    line = next((site for site in found.sites if site.name == name), None)
    if line is None:
        raise Http404(f"There is no site {name[:60]!r}.")
    return line

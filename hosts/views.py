"""The pages about hosts. Reading is for everybody who may view, changing for those who manage hosts."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hosts import onboarding, selectors, services
from hosts.columns import columns
from hosts.entry import HostEntry
from hosts.forms import HostFilter, RemoveForm
from hosts.models import Host
from hosts.outcome import newest_test
from hosts.pages import host_page, losses, public_key_of, uri_of
from hosts.timeline import host_charts, host_events
from vmdash.access.guards import SignedInRequest, allow, allow_everywhere, check
from vmdash.access.roles import Permission, can, can_everywhere
from vmdash.exceptions import Conflict
from vmdash.metrics.panel import Form, Panel, answer, chosen_window


def _host(request: SignedInRequest, name: str) -> Host:
    return get_object_or_404(Host.objects.visible_to(request.user).select_related("site", "credential"), name=name)


def _managed(request: SignedInRequest, name: str) -> Host:
    host = _host(request, name)
    check(request, Permission.MANAGE_HOSTS, host)
    return host


@require_safe
@allow(Permission.VIEW)
def hosts(request: SignedInRequest) -> HttpResponse:
    """The list. Filter and order stand in the URL."""
    sites, tags = selectors.sites_and_tags(request.user)
    form = HostFilter(request.GET, sites=sites, tags=tags)
    wanted = form.conditions() if form.is_valid() else None
    context = {
        "form": form,
        "rows": selectors.host_list(request.user, **wanted) if wanted is not None else [],
        "total": Host.objects.visible_to(request.user).count(),
        "may_manage": can_everywhere(request.user, Permission.MANAGE_HOSTS),
        "columns": columns(wanted["sort"] if wanted else "name"),
    }
    return render(request, "hosts/list.html", context, status=200 if wanted is not None else 400)


@require_safe
@allow(Permission.VIEW)
def host(request: SignedInRequest, name: str) -> HttpResponse:
    """Everything about one host."""
    page = host_page(request.user, name)
    if page is None:
        raise Http404(f"There is no host {name}.")
    window = chosen_window(request.GET)
    address = reverse("host-charts", args=[name, "json"]).removesuffix(".json")
    return render(
        request,
        "hosts/host.html",
        {
            "page": page,
            "host": page.host,
            "panel": Panel(address, window, host_charts(page.host, window)),
            "may_manage": can(request.user, Permission.MANAGE_HOSTS, page.host),
            "may_drain": can(request.user, Permission.DRAIN, page.host),
        },
    )


@require_safe
@allow(Permission.VIEW)
def chart_data(request: SignedInRequest, name: str, form: Form) -> HttpResponse:
    """Its charts in figures; 503 while the history store does not answer."""
    found = _host(request, name)
    return answer(
        request.GET,
        form,
        found.name,
        lambda window: host_charts(found, window),
        lambda window: host_events(found, request.user, window),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@allow_everywhere(Permission.MANAGE_HOSTS)
def add(request: SignedInRequest) -> HttpResponse:
    """The form for a new host; afterwards its test."""
    return _entry(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.MANAGE_HOSTS)
def edit(request: SignedInRequest, name: str) -> HttpResponse:
    return _entry(request, _managed(request, name))


def _entry(request: SignedInRequest, host: Host | None) -> HttpResponse:
    entry = HostEntry(request.POST if request.method == "POST" else None, user=request.user, host=host)
    if request.method == "POST" and entry.is_valid():
        try:
            return _saved(request, entry)
        except Conflict as error:
            entry.host_form.add_error(None, str(error))
    sites, _ = selectors.sites_and_tags(request.user)
    context = {"entry": entry, "host": host, "sites": sites, "settings": settings}
    return render(request, "hosts/entry.html", context, status=400 if entry.host_form.is_bound else 200)


def _saved(request: SignedInRequest, entry: HostEntry) -> HttpResponse:
    saved, reached_anew = entry.save(request.user)
    anyway = "anyway" in request.POST
    entry.follow(saved, reached_anew=reached_anew, anyway=anyway)
    if reached_anew and not anyway:
        return redirect("host-test", saved.name)
    if not anyway:
        messages.success(request, f"{saved.name} is changed.")
    return redirect("host", saved.name)


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.MANAGE_HOSTS)
def test(request: SignedInRequest, name: str) -> HttpResponse:
    """GET: what the newest test says. POST: test now, and begin to collect if the host is not enabled yet."""
    found = _managed(request, name)
    if request.method == "POST":
        onboarding.request_test(host=found, user=request.user, enable="enable" in request.POST)
        return redirect("host-test", name)
    context = {"host": found, "test": newest_test(found), "uri": uri_of(found), "public_key": public_key_of(found)}
    return render(request, "hosts/test.html", context)


@require_POST
@allow(Permission.MANAGE_HOSTS)
def trust(request: SignedInRequest, name: str) -> HttpResponse:
    """Confirm the key or certificate whose fingerprint was shown, then test again."""
    found = _managed(request, name)
    try:
        onboarding.trust(host=found, fingerprint=request.POST.get("fingerprint", ""), user=request.user)
    except Conflict as error:
        messages.error(request, str(error))
    return redirect("host-test", name)


@require_POST
@allow(Permission.MANAGE_HOSTS)
def forget(request: SignedInRequest, name: str) -> HttpResponse:
    """Forget the confirmed key and certificate, then test: the one that the host has now is shown for confirmation."""
    onboarding.forget(host=_managed(request, name), user=request.user)
    return redirect("host-test", name)


@require_POST
@allow(Permission.MANAGE_HOSTS)
def enable(request: SignedInRequest, name: str) -> HttpResponse:
    services.set_enabled(user=request.user, host=_managed(request, name), enabled=True)
    return redirect("host", name)


@require_POST
@allow(Permission.MANAGE_HOSTS)
def disable(request: SignedInRequest, name: str) -> HttpResponse:
    services.set_enabled(user=request.user, host=_managed(request, name), enabled=False)
    return redirect("host", name)


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.MANAGE_HOSTS)
def remove(request: SignedInRequest, name: str) -> HttpResponse:
    """Says what is lost, and asks for the host's name."""
    found = _managed(request, name)
    form = RemoveForm(request.POST if request.method == "POST" else None, host=found)
    if request.method == "POST" and form.is_valid():
        services.remove_host(user=request.user, host=found)
        messages.success(request, f"{name} is removed.")
        return redirect("hosts")
    context = {"host": found, "form": form, "losses": losses(request.user, found)}
    return render(request, "hosts/remove.html", context, status=400 if form.is_bound else 200)

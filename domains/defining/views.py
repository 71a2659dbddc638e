"""The page on which a guest is made."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from domains.actions import host_obstacle
from domains.defining import services
from domains.defining.forms import NewGuestForm
from hosts.models import Driver, Host
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.exceptions import VmdashError


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.DEFINE)
def new(request: SignedInRequest) -> HttpResponse:
    """The form for a guest on `?host=NAME`; `?disk=POOL/VOLUME` and `?medium=` choose what it starts from."""
    hosts = Host.objects.open_to(request.user, Permission.DEFINE).filter(enabled=True, driver=Driver.QEMU)
    hosts = hosts.order_by("name")
    host = _asked_for(request, hosts) or hosts.filter(state=Host.State.UP).first() or hosts.first()
    if host is None:
        return render(request, "domains/defining/new.html", {"hosts": hosts})
    asked = {field: request.GET[field] for field in ("disk", "medium") if request.GET.get(field)}
    form = NewGuestForm(request.POST if request.method == "POST" else None, host=host, user=request.user, initial=asked)
    if form.is_bound and form.is_valid():
        try:
            job = services.define(host=host, wish=form.wish(), user=request.user)
        except VmdashError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"Asked for: {job.label}.")
            return redirect("job", job.pk)
    context = {"hosts": hosts, "host": host, "form": form, "obstacle": host_obstacle(host)}
    return render(request, "domains/defining/new.html", context, status=400 if form.is_bound else 200)


def _asked_for(request: SignedInRequest, hosts: QuerySet[Host]) -> Host | None:
    """The host in the address, if there is one: 404 if nobody here knows it, 403 where no guest may be made."""
    if not (name := request.GET.get("host", "")):
        return None
    found = get_object_or_404(Host.objects.visible_to(request.user), name=name)
    check(request, Permission.DEFINE, found)
    return get_object_or_404(hosts, pk=found.pk)

"""The page on which it is changed how a host merges memory."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from hosts.ksm import services
from hosts.ksm.forms import KsmForm
from hosts.ksm.words import shown
from hosts.models import Host
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.exceptions import VmdashError


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.MANAGE_HOSTS)
def ksm(request: SignedInRequest, name: str) -> HttpResponse:
    host = get_object_or_404(Host.objects.visible_to(request.user), name=name)
    check(request, Permission.MANAGE_HOSTS, host)
    known = shown(host)
    form = KsmForm(
        request.POST if request.method == "POST" else None,
        initial={"pages_to_scan": known.pages_to_scan, "sleep_ms": known.sleep_ms} if known else {},
    )
    status = 400 if form.errors else 200
    if form.is_bound and not form.errors:
        try:
            job = services.change(host=host, user=request.user, **form.cleaned_data)
        except VmdashError as error:
            messages.error(request, str(error))
            status = 409
        else:
            return redirect("job", job.pk)
    context = {"host": host, "ksm": known, "form": form, "obstacle": services.obstacle(host)}
    return render(request, "hosts/ksm.html", context, status=status)

"""The pages on which a host is drained, and its guests are brought back."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from domains.draining import services
from domains.draining.back import plan_return
from domains.draining.forms import PolicyForm
from domains.draining.plan import Policy, plan_drain
from domains.draining.record import maintenance_of
from hosts.models import Host
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.exceptions import Conflict, VmdashError


@require_safe
@allow(Permission.DRAIN)
def drain(request: SignedInRequest, name: str) -> HttpResponse:
    """What would happen to each guest, by the policy in the address; while it happens, the job."""
    host = _host(request, name)
    if job := services.job_of(host):
        return redirect("job", job.pk)
    form = PolicyForm(request.GET if "fallback" in request.GET or "strict" in request.GET else None)
    return _show_drain(request, host, form)


@require_POST
@allow(Permission.DRAIN)
def start_drain(request: SignedInRequest, name: str) -> HttpResponse:
    """Do it, if the plan is still the one that was shown (`mark`)."""
    host = _host(request, name)
    form = PolicyForm(request.POST)
    if not form.is_valid():
        return _show_drain(request, host, form)
    try:
        job = services.drain(host=host, policy=form.policy(), mark=request.POST.get("mark", ""), user=request.user)
    except VmdashError as error:
        messages.error(request, str(error))
        return _show_drain(request, host, form, 409)
    return redirect("job", job.pk)


@require_POST
@allow(Permission.DRAIN)
def check_moves(request: SignedInRequest, name: str) -> HttpResponse:
    """Have the workers ask the hosts where each guest can move; the plan then knows more than the inventory."""
    host = _host(request, name)
    asked, refused = services.check_moves(host=host, user=request.user)
    for error in refused[:3]:
        messages.error(request, error)
    if asked:
        messages.success(
            request, f"{asked} check{'' if asked == 1 else 's'} asked for. The plan takes them into account."
        )
    return redirect("host-drain", host.name)


@require_safe
@allow(Permission.DRAIN)
def return_guests(request: SignedInRequest, name: str) -> HttpResponse:
    """What would come back, and what is left alone and why."""
    host = _host(request, name)
    if job := services.job_of(host):
        return redirect("job", job.pk)
    return _show_return(request, host)


@require_POST
@allow(Permission.DRAIN)
def start_return(request: SignedInRequest, name: str) -> HttpResponse:
    """Do it, if the plan is still the one that was shown (`mark`)."""
    host = _host(request, name)
    try:
        job = services.bring_back(host=host, mark=request.POST.get("mark", ""), user=request.user)
    except VmdashError as error:
        messages.error(request, str(error))
        return _show_return(request, host, 409)
    return redirect("job", job.pk)


@require_POST
@allow(Permission.DRAIN)
def end_maintenance(request: SignedInRequest, name: str) -> HttpResponse:
    """Open it for guests again; none is brought back."""
    host = _host(request, name)
    try:
        services.end_maintenance(host=host, user=request.user)
        messages.success(request, f"{host.name} is in use again. Its guests were not brought back.")
    except VmdashError as error:
        messages.error(request, str(error))
    return redirect("host", host.name)


def _show_drain(request: SignedInRequest, host: Host, form: PolicyForm, status: int = 200) -> HttpResponse:
    valid = form.is_valid()
    policy = form.policy() if valid else Policy()
    plan = plan_drain(host, policy, request.user)
    if form.is_bound and not valid:
        status = 400
    context = {"host": host, "form": form, "plan": plan, "policy": policy}
    return render(request, "domains/draining/drain.html", context, status=status)


def _show_return(request: SignedInRequest, host: Host, status: int = 200) -> HttpResponse:
    try:
        opened = maintenance_of(host, request.user)
    except Conflict as error:
        if status == 200:
            messages.error(request, str(error))
        return redirect("host", host.name)
    plan, gone = plan_return(opened, request.user)
    context = {"host": host, "drain": opened, "plan": plan, "gone": gone}
    return render(request, "domains/draining/return.html", context, status=status)


def _host(request: HttpRequest, name: str) -> Host:
    host = get_object_or_404(Host.objects.visible_to(request.user).select_related("site", "credential"), name=name)
    check(request, Permission.DRAIN, host)
    return host

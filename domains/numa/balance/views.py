"""The page on which the cells of a host are brought into balance."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from domains.numa.balance import services
from domains.numa.balance.plan import may_balance, plan_balance
from hosts.models import Host
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.exceptions import InvalidInput, NotPermitted, VmdashError


@require_safe
@allow(Permission.OPERATE)
def balancing(request: SignedInRequest, name: str) -> HttpResponse:
    """Which guests would be placed where, before they are."""
    return _show(request, _host(request, name))


@require_POST
@allow(Permission.OPERATE)
def balance(request: SignedInRequest, name: str) -> HttpResponse:
    """Place what was shown: `move`, once for each guest, is its UUID and the number of a cell."""
    host = _host(request, name)
    try:
        job = services.balance(host=host, cells=_cells(request.POST.getlist("move")), user=request.user)
    except NotPermitted as error:
        raise PermissionDenied(str(error)) from error
    except VmdashError as error:
        messages.error(request, str(error))
        return _show(request, host, 400 if isinstance(error, InvalidInput) else 409)
    return redirect("job", job.pk)


@require_POST
@allow(Permission.OPERATE)
def undo(request: SignedInRequest, name: str) -> HttpResponse:
    host = _host(request, name)
    try:
        job = services.undo(host=host, user=request.user)
    except VmdashError as error:
        messages.error(request, str(error))
        return redirect("host", host.name)
    return redirect("job", job.pk)


def _cells(moves: Sequence[str]) -> dict[UUID, int]:
    """Raises InvalidInput."""
    try:
        return {UUID(uuid): int(cell[:6]) for uuid, _, cell in (move.partition(" ") for move in moves)}
    except ValueError:
        raise InvalidInput("A guest or cell is not written as it should be.") from None


def _show(request: SignedInRequest, host: Host, status: int = 200) -> HttpResponse:
    context = {"host": host, "plan": plan_balance(host, request.user)}
    return render(request, "domains/numa/balance.html", context, status=status)


def _host(request: SignedInRequest, name: str) -> Host:
    host = get_object_or_404(Host.objects.visible_to(request.user), name=name)
    if not may_balance(host, request.user):
        raise PermissionDenied(f"You may not {Permission.OPERATE.label}.")
    return host

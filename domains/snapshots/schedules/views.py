"""The pages of schedules: all of them, one with what it keeps, and the form."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from domains.models import Domain
from domains.naming import shortest_name
from domains.snapshots.models import SnapshotSchedule
from domains.snapshots.schedules import services
from domains.snapshots.schedules.forms import ScheduleForm
from domains.snapshots.schedules.overview import states_of
from domains.snapshots.schedules.page import forecasts, obstacles_of, schedule_page
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission, can

page = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
@allow(Permission.VIEW)
def schedules(request: SignedInRequest) -> HttpResponse:
    """All schedules, with when they are next and what came of the last time."""
    now = timezone.now()
    found = SnapshotSchedule.objects.visible_to(request.user).select_related("tag", "domain")
    context = {
        "states": states_of(list(found), now),
        "may_change": can(request.user, Permission.SNAPSHOT),
    }
    return render(request, "domains/snapshots/schedules.html", context)


@require_safe
@allow(Permission.VIEW)
def schedule(request: SignedInRequest, pk: int) -> HttpResponse:
    """One: exactly which of its snapshots stay and which go, and why; what there will be; its last runs."""
    shown = schedule_page(_schedule(request, pk), request.user, timezone.now())
    return render(request, "domains/snapshots/schedule.html", {"page": shown})


@page
@allow(Permission.SNAPSHOT)
def add(request: SignedInRequest) -> HttpResponse:
    """`?guest=UUID`: for this guest. POST with `do=save` makes it, without only shows what it would keep."""
    guest = Domain.objects.visible_to(request.user).filter(pk__in=_uuids(request)).first()
    initial = {"guest": shortest_name(guest)} if guest else {}
    return _form(request, SnapshotSchedule(), initial)


@page
@allow(Permission.SNAPSHOT)
def change(request: SignedInRequest, pk: int) -> HttpResponse:
    """The same for one that is there."""
    return _form(request, _changeable(request, pk), {})


@require_POST
@allow(Permission.SNAPSHOT)
def enable(request: SignedInRequest, pk: int) -> HttpResponse:
    """`enabled=yes` or `enabled=no`."""
    found = _changeable(request, pk)
    if (wanted := request.POST.get("enabled")) not in ("yes", "no"):
        raise BadRequest("Write enabled=yes or enabled=no.")
    enabled = wanted == "yes"
    services.set_enabled(schedule=found, enabled=enabled, user=request.user)
    messages.success(
        request,
        f"{found.name} is enabled from now on."
        if enabled
        else f"{found.name} is disabled: it takes and deletes nothing.",
    )
    return redirect("snapshot-schedule", pk)


@page
@allow(Permission.SNAPSHOT)
def remove(request: SignedInRequest, pk: int) -> HttpResponse:
    """Asks first. The snapshots stay."""
    found = _changeable(request, pk)
    if request.method == "POST":
        services.remove(schedule=found, user=request.user)
        messages.success(request, f"The schedule {found.name} is deleted.")
        return redirect("snapshot-schedules")
    shown = schedule_page(found, request.user, timezone.now())
    return render(request, "domains/snapshots/schedule_remove.html", {"page": shown})


def _form(request: SignedInRequest, found: SnapshotSchedule, initial: dict[str, str]) -> HttpResponse:
    posted = request.POST if request.method == "POST" else None
    title, is_new = f"Change {found.name}", found.pk is None
    form = ScheduleForm(request.user, posted, instance=found, initial=initial)
    valid = form.is_valid()
    if valid and request.POST.get("do") == "save":
        saved = services.save(schedule=form.save(commit=False), user=request.user)
        messages.success(request, f"The schedule {saved.name} is saved.")
        return redirect("snapshot-schedule", saved.pk)
    shows = valid or not form.is_bound
    context = {
        "form": form,
        "title": "New snapshot schedule" if is_new else title,
        "schedule": found if not is_new else None,
        "forecasts": forecasts(found, timezone.now()) if shows else [],
        "obstacles": obstacles_of(found) if valid else [],
    }
    return render(request, "domains/snapshots/schedule_form.html", context, status=200 if shows else 400)


def _uuids(request: HttpRequest) -> list[UUID]:
    try:
        return [UUID(request.GET.get("guest", ""))]
    except ValueError:
        return []


def _schedule(request: HttpRequest, pk: int) -> SnapshotSchedule:
    found = SnapshotSchedule.objects.visible_to(request.user).select_related("tag", "domain")
    return get_object_or_404(found, pk=pk)


def _changeable(request: HttpRequest, pk: int) -> SnapshotSchedule:
    found = _schedule(request, pk)
    check(request, Permission.SNAPSHOT, found)
    return found

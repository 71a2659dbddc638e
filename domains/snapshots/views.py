"""The pages on which snapshots are taken, reverted to and deleted. The tree of them is a part of the guest's page."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from domains.models import Domain
from domains.snapshots import choices, naming, services
from domains.snapshots.forms import DeleteForm, FlattenForm, RevertForm, TakeForm
from domains.snapshots.models import Snapshot, SnapshotKind
from domains.snapshots.page import state_words
from domains.snapshots.tree import descendants
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.exceptions import Conflict, InvalidInput, NotPermitted, VmdashError
from vmdash.jobs.models import Job

page = require_http_methods(["GET", "HEAD", "POST"])
_STATUSES = ((InvalidInput, 400), (NotPermitted, 403), (Conflict, 409))


@page
@allow(Permission.SNAPSHOT)
def take(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    """The form, with the name that it would get. POST with `do=take` takes it, without only shows it."""
    domain = _guest(request, uuid)
    form = TakeForm(domain, request.POST if request.method == "POST" else None)
    status = 200
    if form.is_bound and not form.is_valid():
        status = 400
    elif request.POST.get("do") == "take":
        found = form.cleaned_data
        kind = SnapshotKind(found["kind"])
        try:
            job = services.take(
                domain=domain, user=request.user, kind=kind, note=found["note"], quiesce=form.asks_to_quiesce
            )
            return _asked(request, job)
        except VmdashError as error:
            status = refuse(form, error)
    note = form.cleaned_data.get("note", "") if form.is_bound else ""
    name = naming.snapshot_name(domain.name, note, timezone.now())
    context = {"domain": domain, "form": form, "name": name, "obstacle": choices.obstacle(domain)}
    return render(request, "domains/snapshots/take.html", context, status=status)


@page
@allow(Permission.SNAPSHOT)
def revert(request: SignedInRequest, uuid: UUID, pk: int) -> HttpResponse:
    """What is lost by it, and how the guest shall be afterwards. POST needs the guest's name as `confirm`."""
    domain = _guest(request, uuid)
    snapshot = _snapshot(request, domain, pk)
    form = RevertForm(domain, snapshot, request.POST if request.method == "POST" else None)
    status = 400 if form.is_bound else 200
    if form.is_valid():
        found = form.cleaned_data
        try:
            job = services.revert(
                domain=domain,
                snapshot=snapshot,
                user=request.user,
                confirm=found["confirm"],
                afterwards=found["afterwards"] or services.AS_IT_WAS,
                keep=found.get("keep", False),
                first=found["first"],
            )
            return _asked(request, job)
        except services.ConfirmationNeeded as error:
            form.add_error("confirm", error.message)
        except VmdashError as error:
            status = refuse(form, error)
    context = _about(request, domain, snapshot, form)
    context["obstacle"] = choices.obstacle(domain) or choices.why_not_revert(domain, snapshot)
    return render(request, "domains/snapshots/revert.html", context, status=status)


@page
@allow(Permission.SNAPSHOT)
def delete(request: SignedInRequest, uuid: UUID, pk: int) -> HttpResponse:
    """What is merged where, and what becomes of the snapshots after it."""
    domain = _guest(request, uuid)
    snapshot = _snapshot(request, domain, pk)
    form = DeleteForm(domain, snapshot, request.POST if request.method == "POST" else None)
    status = 400 if form.is_bound else 200
    if form.is_valid():
        try:
            job = services.delete(
                domain=domain,
                snapshot=snapshot,
                user=request.user,
                forget=form.cleaned_data.get("forget", False),
                most_bytes_per_s=form.most_bytes_per_s,
            )
            return _asked(request, job)
        except VmdashError as error:
            status = refuse(form, error)
    context = _about(request, domain, snapshot, form) | {"obstacle": choices.obstacle(domain)}
    return render(request, "domains/snapshots/delete.html", context, status=status)


@page
@allow(Permission.SNAPSHOT)
def flatten(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    """Copy what is below the guest's disks into them."""
    domain = _guest(request, uuid)
    form = FlattenForm(request.POST if request.method == "POST" else None)
    status = 400 if form.is_bound else 200
    if form.is_valid():
        try:
            return _asked(
                request, services.flatten(domain=domain, user=request.user, most_bytes_per_s=form.most_bytes_per_s)
            )
        except VmdashError as error:
            status = refuse(form, error)
    disks = [disk for disk in choices.own_disks(domain) if disk.get("backing")]
    obstacle = choices.obstacle(domain) or choices.why_not_flatten(domain)
    context = {"domain": domain, "form": form, "disks": disks, "obstacle": obstacle}
    return render(request, "domains/snapshots/flatten.html", context, status=status)


def refuse(form: forms.Form, error: VmdashError) -> int:
    """Show on the form why it is not done. Returns the status to answer with."""
    form.add_error(None, str(error))
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 503)


def _about(request: SignedInRequest, domain: Domain, snapshot: Snapshot, form: forms.Form) -> dict[str, object]:
    others = Snapshot.objects.visible_to(request.user).filter(domain=domain)
    return {
        "domain": domain,
        "snapshot": snapshot,
        "form": form,
        "guest_was": state_words(snapshot),
        "is_off": choices.is_off(domain),
        "later": descendants(others, snapshot),
    }


def _asked(request: SignedInRequest, job: Job) -> HttpResponse:
    messages.success(request, f"Asked for: {job.label}.")
    return redirect("guest-tab", job.target_id, "snapshots")


def _guest(request: HttpRequest, uuid: UUID) -> Domain:
    domain = get_object_or_404(Domain.objects.visible_to(request.user).select_related("host"), pk=uuid)
    check(request, Permission.SNAPSHOT, domain)
    return domain


def _snapshot(request: HttpRequest, domain: Domain, pk: int) -> Snapshot:
    return get_object_or_404(Snapshot.objects.visible_to(request.user), pk=pk, domain=domain)

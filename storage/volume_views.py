"""The page of a volume, and the forms that change volumes. What they ask for becomes a job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from storage import chains, volume_services
from storage.models import ImageCopy, Pool, Volume
from storage.volume_forms import CloneForm, CreateForm, DeleteForm, ResizeForm, WipeForm
from storage.volume_rows import volume_id
from vmdash import formats
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.models import User
from vmdash.access.roles import Permission, can
from vmdash.exceptions import VmdashError
from vmdash.jobs.models import Job

NEWEST_JOBS = 8


def pool_of(user: User, host: str, pool: str) -> Pool:
    return get_object_or_404(Pool.objects.visible_to(user).select_related("host"), host__name=host, name=pool)


def volume_of(user: User, host: str, pool: str, name: str) -> Volume:
    volumes = Volume.objects.visible_to(user).select_related("pool__host", "pool__storage")
    return get_object_or_404(volumes, pool__host__name=host, pool__name=pool, name=name)


def changed_pool(request: SignedInRequest, host: str, pool: str) -> Pool:
    """The pool, for somebody who may change it."""
    found = pool_of(request.user, host, pool)
    check(request, Permission.STORAGE, found)
    return found


def changed_volume(request: SignedInRequest, host: str, pool: str, name: str) -> Volume:
    """The volume, for somebody who may change it."""
    found = volume_of(request.user, host, pool, name)
    check(request, Permission.STORAGE, found)
    return found


@require_safe
@allow(Permission.VIEW)
def volume(request: SignedInRequest, host: str, pool: str, name: str) -> HttpResponse:
    """Everything about one volume."""
    found = volume_of(request.user, host, pool, name)
    image = chains.Chains(chains.hosts_that_see(found.pool), request.user).find(found)
    about = {"target_kind": "volume", "target_id": volume_id(found.pool, name)}
    context = {
        "volume": found,
        "image": image,
        "below": list(image.below()),
        "copy": ImageCopy.objects.filter(pool=found.pool, volume_name=name).select_related("image").first(),
        "jobs": Job.objects.visible_to(request.user).filter(**about)[:NEWEST_JOBS],
        "may_change": can(request.user, Permission.STORAGE, found),
        "no_write": chains.obstacle_to_write(found, request.user),
        "no_delete": (no_delete := chains.obstacle_to_delete(found, request.user)),
        "guest_from": _guest_from(request.user, found, no_delete),
    }
    return render(request, "storage/volume.html", context)


def _guest_from(user: User, volume: Volume, obstacle: str) -> str:
    """As what a new guest could start from it: a `medium`, a `disk` that is free, or nothing."""
    if not can(user, Permission.DEFINE, volume):
        return ""
    if volume.is_medium:
        return "medium"
    return "disk" if volume.is_disk and not obstacle else ""


@require_safe
@allow(Permission.VIEW)
def find(request: SignedInRequest) -> HttpResponse:
    """The volume with `?path=` or `?key=`, on `?host=` where several hosts have one; a list where they do."""
    wanted = {name: request.GET[name] for name in ("path", "key") if request.GET.get(name)}
    if not wanted or any("\0" in text for text in wanted.values()):
        return render(request, "storage/volume_find.html", {"found": None}, status=400 if request.GET else 200)
    found = Volume.objects.visible_to(request.user).select_related("pool__host").filter(**wanted)
    if host := request.GET.get("host"):
        found = found.filter(pool__host__name=host)
    volumes = list(found.order_by("pool__host__name", "pool__name")[:200])
    if len(volumes) == 1:
        one = volumes[0]
        return redirect("volume", one.pool.host.name, one.pool.name, one.name)
    return render(request, "storage/volume_find.html", {"found": volumes}, status=200 if volumes else 404)


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.STORAGE)
def create(request: SignedInRequest, host: str, pool: str) -> HttpResponse:
    row = changed_pool(request, host, pool)
    form = CreateForm(request.POST or None, pool=row)
    return _ask(
        request,
        form,
        f"New volume in {row.name} on {row.host.name}",
        lambda wishes: volume_services.create(pool=row, user=request.user, **wishes),
        {"pool": row, "verb": "Create", "bases": form.bases()},
    )


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.STORAGE)
def clone(request: SignedInRequest, host: str, pool: str, name: str) -> HttpResponse:
    """Also converts: the form asks for the format."""
    source = changed_volume(request, host, pool, name)
    form = CloneForm(
        request.POST or None,
        source=source,
        initial={"pool": source.pool, "format": source.format if source.format in ("qcow2", "raw") else "qcow2"},
    )
    return _ask(
        request,
        form,
        f"Clone or convert {source.name}",
        lambda wishes: volume_services.clone(source=source, user=request.user, **wishes),
        {"volume": source, "pool": source.pool, "verb": "Clone"},
    )


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.STORAGE)
def resize(request: SignedInRequest, host: str, pool: str, name: str) -> HttpResponse:
    row = changed_volume(request, host, pool, name)
    form = ResizeForm(request.POST or None, initial={"capacity_bytes": formats.size(row.capacity_bytes)})
    return _ask(
        request,
        form,
        f"Resize {row.name}",
        lambda wishes: volume_services.resize(volume=row, user=request.user, **wishes),
        {"volume": row, "pool": row.pool, "verb": "Resize"},
    )


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.STORAGE)
def wipe(request: SignedInRequest, host: str, pool: str, name: str) -> HttpResponse:
    row = changed_volume(request, host, pool, name)
    return _ask(
        request,
        WipeForm(request.POST or None),
        f"Wipe {row.name}",
        lambda wishes: volume_services.wipe(volume=row, user=request.user, **wishes),
        {"volume": row, "pool": row.pool, "verb": "Wipe", "loses": "Everything in it is overwritten, for good."},
    )


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.STORAGE)
def delete(request: SignedInRequest, host: str, pool: str, name: str) -> HttpResponse:
    row = changed_volume(request, host, pool, name)
    return _ask(
        request,
        DeleteForm(request.POST or None),
        f"Delete {row.name}",
        lambda wishes: volume_services.delete(volume=row, user=request.user, **wishes),
        {"volume": row, "pool": row.pool, "verb": "Delete", "loses": "The volume and everything in it are lost."},
    )


def _ask(
    request: SignedInRequest,
    form: forms.Form,
    title: str,
    service: Callable[[dict[str, Any]], Job],
    context: Mapping[str, Any],
) -> HttpResponse:
    """Show the form; once it is filled in, ask for the job and go to its page."""
    if request.method == "POST" and form.is_valid():
        try:
            job = service(form.cleaned_data)
        except VmdashError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"Asked for: {job.label}.")
            return redirect("job", job.pk)
    status = 400 if form.is_bound else 200
    return render(request, "storage/volume_form.html", {"form": form, "title": title, **context}, status=status)

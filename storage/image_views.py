"""The image library."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from storage import images
from storage.models import Image, ImageCopy, Pool
from storage.volume_forms import CopyForm, ImageForm
from storage.volume_views import changed_volume
from vmdash.access.guards import SignedInRequest, allow, allow_everywhere, check
from vmdash.access.roles import Permission, can, can_everywhere
from vmdash.exceptions import VmdashError


@require_safe
@allow(Permission.VIEW)
def library(request: SignedInRequest) -> HttpResponse:
    """Every image, and where its copies are."""
    found = images.seen_by(request.user)
    may_change = can(request.user, Permission.STORAGE)
    open_to = Pool.objects.open_to(request.user, Permission.STORAGE)
    writable = set(open_to.filter(image_copies__image__in=found).values_list("pk", flat=True)) if may_change else set()
    rows = [(image, _copy_form(request, image) if may_change else None) for image in found]
    context = {
        "rows": rows,
        "may_change": may_change,
        "may_remove": can_everywhere(request.user, Permission.STORAGE),
        "writable": writable,
    }
    return render(request, "storage/images.html", context)


def _copy_form(request: SignedInRequest, image: Image) -> CopyForm:
    posted = request.POST if request.method == "POST" else None
    return CopyForm(posted, image=image, user=request.user, auto_id=f"id_{image.pk}_%s")


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.STORAGE)
def add(request: SignedInRequest, host: str, pool: str, name: str) -> HttpResponse:
    """Take a volume into the library."""
    row = changed_volume(request, host, pool, name)
    guess = {"name": row.name[:100], "kind": "iso" if row.name.lower().endswith(".iso") else "disk"}
    form = ImageForm(request.POST or None, initial=guess)
    if request.method == "POST" and form.is_valid():
        try:
            image = images.add(volume=row, user=request.user, **form.cleaned_data)
        except VmdashError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{image.name} is in the library. Its checksum is being computed.")
            return redirect("images")
    context = {"form": form, "title": f"Add {row.name} to the library", "volume": row, "pool": row.pool, "verb": "Add"}
    return render(request, "storage/volume_form.html", context, status=400 if form.is_bound else 200)


@require_POST
@allow(Permission.STORAGE)
def copy(request: SignedInRequest, pk: int) -> HttpResponse:
    """To another pool. Field: `pool`."""
    image = copied_image(request, pk)
    form = _copy_form(request, image)
    try:
        if form.is_valid():
            job = images.copy_to(image=image, pool=form.cleaned_data["pool"], user=request.user)
            messages.success(request, f"Asked for: {job.label}.")
        else:
            messages.error(request, f"Choose a pool that does not have {image.name} yet.")
    except VmdashError as error:
        messages.error(request, str(error))
    return redirect("images")


@require_POST
@allow(Permission.STORAGE)
def verify(request: SignedInRequest, pk: int) -> HttpResponse:
    """Read one copy and compare its checksum."""
    job = images.verify(copy=checked_copy(request, pk), user=request.user)
    messages.success(request, f"Asked for: {job.label}.")
    return redirect("images")


@require_POST
@allow_everywhere(Permission.STORAGE)
def remove(request: SignedInRequest, pk: int) -> HttpResponse:
    image = get_object_or_404(Image.objects.visible_to(request.user), pk=pk)
    images.remove(image=image, user=request.user)
    messages.success(request, f"{image.name} is out of the library. Its volumes are still where they were.")
    return redirect("images")


def copied_image(request: SignedInRequest, pk: int) -> Image:
    """The image, for somebody who may change storage in one of the places where it is."""
    image = get_object_or_404(Image.objects.visible_to(request.user), pk=pk)
    if not Image.objects.open_to(request.user, Permission.STORAGE).filter(pk=pk).exists():
        raise PermissionDenied(f"You may not {Permission.STORAGE.label} where {image.name} is.")
    return image


def checked_copy(request: SignedInRequest, pk: int) -> ImageCopy:
    """The copy, for somebody who may change its pool."""
    found = get_object_or_404(ImageCopy.objects.visible_to(request.user).select_related("image", "pool__host"), pk=pk)
    check(request, Permission.STORAGE, found)
    return found

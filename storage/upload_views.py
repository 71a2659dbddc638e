"""Uploads and downloads: the pages, and what their script asks for. The content goes through the transfer gateway."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django import forms
from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from storage import images, upload_services
from storage.models import Pool, Upload
from storage.volume_forms import ImageUploadForm, UploadForm
from storage.volume_views import changed_pool, changed_volume
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.exceptions import VmdashError
from vmdash.jobs.models import Job


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.STORAGE)
def begin(request: SignedInRequest, host: str, pool: str) -> HttpResponse:
    """The form for an upload into a pool. POST answers JSON: where to go on, or what is wrong."""
    row = changed_pool(request, host, pool)
    form = UploadForm(request.POST or None)
    if request.method != "POST":
        return _page(request, form, f"Upload into {row.name} on {row.host.name}", row)
    if not form.is_valid():
        return _errors(form)
    try:
        return _go_on(upload_services.begin(pool=row, user=request.user, **form.cleaned_data))
    except VmdashError as error:
        return JsonResponse({"error": str(error)}, status=409)


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.STORAGE)
def begin_image(request: SignedInRequest) -> HttpResponse:
    """The same for a new image of the library."""
    form = ImageUploadForm(request.POST or None, user=request.user)
    if request.method != "POST":
        return _page(request, form, "Upload an image into the library", None)
    if not form.is_valid():
        return _errors(form)
    try:
        return _go_on(images.upload(user=request.user, **form.wishes()))
    except VmdashError as error:
        return JsonResponse({"error": str(error)}, status=409)


@require_safe
@allow(Permission.STORAGE)
def upload(request: SignedInRequest, pk: UUID) -> HttpResponse:
    """An upload on its way: whoever comes back to it chooses the same file again, and it goes on."""
    row = changed_upload(request, pk)
    context = {"upload": row, "state": _state(row), "pool": row.pool, "title": f"Upload {row.volume_name}"}
    return render(request, "storage/upload.html", context)


@require_safe
@never_cache
@allow(Permission.STORAGE)
def state(request: SignedInRequest, pk: UUID) -> HttpResponse:
    return JsonResponse(_state(changed_upload(request, pk)))


@require_POST
@allow(Permission.STORAGE)
def ticket(request: SignedInRequest, pk: UUID) -> HttpResponse:
    """Where to send the rest of the file, from which byte on, and the token that allows it, once.

    Without a token while the volume is being made, and when everything has come or the upload has ended.
    """
    row = changed_upload(request, pk)
    if row.state != Upload.State.OPEN:
        return JsonResponse(_state(row), status=202)
    token = upload_services.upload_ticket(upload=row, session_key=request.session.session_key or "")
    return JsonResponse({**_state(row), "url": f"{gateway(request)}/upload/{row.pk}", "token": token})


@require_safe
@never_cache
@allow(Permission.STORAGE)
def download(request: SignedInRequest, host: str, pool: str, name: str) -> HttpResponse:
    """Sends the browser to the gateway, which sends the volume."""
    row = changed_volume(request, host, pool, name)
    token = upload_services.download_ticket(
        volume=row, user=request.user, session_key=request.session.session_key or ""
    )
    return redirect(f"{gateway(request)}/download/{token}/{quote(row.name, safe='')}")


def gateway(request: SignedInRequest) -> str:
    """The gateway's address as this browser reaches it. The session cookie must reach it too: same host name."""
    if settings.TRANSFER_URL:
        return str(settings.TRANSFER_URL)
    name = re.sub(r":\d+\Z", "", request.get_host())
    return f"{request.scheme}://{name}:{settings.TRANSFER_LISTEN[1]}"


def changed_upload(request: SignedInRequest, pk: UUID) -> Upload:
    """One's own, for somebody who may still change its pool."""
    found = get_object_or_404(upload_services.uploads_of(request.user), pk=pk)
    check(request, Permission.STORAGE, found.pool)
    return found


def _state(row: Upload) -> dict[str, Any]:
    job = Job.objects.filter(pk=row.job_id or row.pk).first()
    return {
        "state": row.state,
        "received": row.received_bytes,
        "size": row.size_bytes,
        "file": row.file_name,
        "ended": job is None or job.finished_at is not None,
        "succeeded": job is not None and job.state == Job.State.SUCCEEDED,
        "phase": (job.phase or job.waiting_for) if job else "",
        "error": job.error if job else "The job is gone.",
        "job": reverse("job", args=[row.job_id]) if job else "",
    }


def _page(request: SignedInRequest, form: forms.Form, title: str, pool: Pool | None) -> HttpResponse:
    return render(request, "storage/upload.html", {"form": form, "title": title, "pool": pool})


def _go_on(row: Upload) -> HttpResponse:
    return JsonResponse({"page": reverse("upload", args=[row.pk])}, status=201)


def _errors(form: forms.Form) -> HttpResponse:
    words = [f"{form.fields[name].label or name}: {' '.join(map(str, errors))}" for name, errors in form.errors.items()]
    return JsonResponse({"error": " ".join(words)}, status=400)

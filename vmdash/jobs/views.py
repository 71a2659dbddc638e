"""The pages about jobs: one's own for everybody, all of them for those who operate the fleet."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission, can, can_everywhere
from vmdash.alerts.selectors import of_job
from vmdash.exceptions import Conflict, NotPermitted, VmdashError
from vmdash.jobs import services
from vmdash.jobs.forms import JobFilter
from vmdash.jobs.models import Job
from vmdash.jobs.selectors import job_row, job_rows, jobs_for, leave_out_hidden
from vmdash.jobs.selectors import tray as tray_of
from vmdash.jobs.told import job_as_told, lines_as_told

PAGE_SIZE = 50


@require_safe
@allow(Permission.VIEW)
def jobs(request: SignedInRequest) -> HttpResponse:
    """The list, newest first. Filter and page stand in the URL."""
    form = JobFilter(request.GET)
    found = jobs_for(request.user, **form.conditions()) if form.is_valid() else Job.objects.none()
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    filtered = any(request.GET.get(name) for name in form.fields)
    context = {
        "form": form,
        "page": page,
        "rows": job_rows(page, request.user, folded=not filtered),
        "sees_others": can(request.user, Permission.VIEW_ALL_JOBS),
        "sees_all": can_everywhere(request.user, Permission.VIEW_ALL_JOBS),
        "filtered": filtered,
    }
    return render(request, "jobs/list.html", context, status=200 if form.is_valid() else 400)


@require_safe
@allow(Permission.VIEW)
def job(request: SignedInRequest, pk: UUID) -> HttpResponse:
    """One job: what it does or did, its log, its error, its parts, and the virsh command that does the same."""
    visible = Job.objects.visible_to(request.user)
    found = get_object_or_404(visible.select_related("parent", "retry_of"), pk=pk)
    leave_out_hidden([found], request.user)
    context = {
        "row": job_row(found, request.user),
        "lines": lines_as_told(found, found.lines.all(), request.user),
        "alerts": of_job(request.user, found.pk),
        "children": job_rows(visible.filter(parent=found).order_by("created_at"), request.user, folded=False),
        "retries": visible.filter(retry_of=found),
    }
    return render(request, "jobs/job.html", context)


@require_safe
@allow(Permission.VIEW)
def tray(request: SignedInRequest) -> HttpResponse:
    """A fragment: one's own jobs that last or have just ended, for the panel that every page has."""
    return render(request, "jobs/tray.html", {"tray": tray_of(request.user)})


@require_POST
@allow(Permission.VIEW)
def cancel(request: SignedInRequest, pk: UUID) -> HttpResponse:
    """Leads to the job. `Accept: application/json`: 204, or 409 with `{"error"}`."""
    found = get_object_or_404(Job.objects.visible_to(request.user), pk=pk)
    as_json = request.get_preferred_type(["text/html", "application/json"]) == "application/json"
    try:
        services.cancel(job=found, user=request.user)
    except NotPermitted as error:
        raise PermissionDenied(str(error)) from error
    except Conflict as error:
        if as_json:
            return JsonResponse({"error": str(error)}, status=409)
        messages.error(request, str(error))
        return redirect("job", found.pk)
    if as_json:
        return HttpResponse(status=204)
    outcome = (
        "is cancelled" if found.state == Job.State.CANCELLED else "is being cancelled: what it did is undone first"
    )
    messages.success(request, f"“{job_as_told(found, request.user).label}” {outcome}.")
    return redirect("job", found.pk)


@require_POST
@allow(Permission.VIEW)
def retry(request: SignedInRequest, pk: UUID) -> HttpResponse:
    """Ask for it once more. Leads to the new job, or asks for the target's name first (`confirm`)."""
    found = get_object_or_404(Job.objects.visible_to(request.user), pk=pk)
    try:
        again = services.retry(job=found, user=request.user, confirm=request.POST.get("confirm", ""))
    except services.ConfirmationNeeded as error:
        told = job_as_told(found, request.user)
        return render(request, "jobs/confirm.html", {"job": told, "error": error, "tried": "confirm" in request.POST})
    except NotPermitted as error:
        raise PermissionDenied(str(error)) from error
    except VmdashError as error:
        messages.error(request, str(error))
        return redirect("job", found.pk)
    return redirect("job", again.pk)

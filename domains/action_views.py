"""POST addresses for actions on guests: forms get redirects and messages, `Accept: application/json` gets JSON."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from domains import services
from domains.models import Domain
from domains.services import BulkResult, ConfirmationNeeded
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.exceptions import Conflict, InvalidInput, NotFound, NotPermitted, VmdashError
from vmdash.jobs.models import Job

_STATUSES = ((InvalidInput, 400), (NotPermitted, 403), (NotFound, 404), (Conflict, 409))


@require_POST
@allow(Permission.VIEW)
def act(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    """One guest. Fields: `action` (a key of `domains.actions.ACTIONS`), `confirm` (the guest's name, where needed).

    JSON: 202 `{"job": {"id", "url"}}`, or an error's status with `{"error", "hint", "needs_confirmation"}`.
    """
    back = reverse("guest", args=[uuid])
    domain = Domain.objects.visible_to(request.user).select_related("host").filter(pk=uuid).first()
    if domain is None:
        return _refused(request, NotFound("There is no such guest."), back)
    try:
        job = services.act(domain=domain, user=request.user, **_fields(request))
    except ConfirmationNeeded as error:
        return _refused(request, error, back) if _wants_json(request) else _ask(request, error, [domain], back)
    except VmdashError as error:
        return _refused(request, error, back)
    if _wants_json(request):
        return JsonResponse({"job": _job(job)}, status=202)
    messages.success(request, f"Asked for: {job.label}.")
    return redirect(back)


@require_POST
@allow(Permission.VIEW)
def act_on_many(request: SignedInRequest) -> HttpResponse:
    """Many guests. Fields: `action`; `uuid`, once per guest; `confirm` (how many they are, where needed).

    JSON: 200 `{"results": [{"uuid", "name", "job", "error", "hint"}]}`, a job or an error for each guest; or an error
    as for one.
    """
    back = reverse("guests")
    uuids: list[UUID] = []
    try:
        uuids = [_uuid(text) for text in request.POST.getlist("uuid")]
        results = services.act_on_many(uuids=uuids, user=request.user, **_fields(request))
    except ConfirmationNeeded as error:
        domains = list(Domain.objects.visible_to(request.user).filter(pk__in=uuids))
        return _refused(request, error, back) if _wants_json(request) else _ask(request, error, domains, back)
    except VmdashError as error:
        return _refused(request, error, back)
    if _wants_json(request):
        return JsonResponse({"results": [_result(result) for result in results]})
    _report(request, results)
    return redirect(back)


def _fields(request: HttpRequest) -> dict[str, str]:
    return {name: request.POST.get(name, "") for name in ("action", "confirm")}


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput(f"{text[:40]!r} is not the UUID of a guest.") from None


def _wants_json(request: HttpRequest) -> bool:
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def _job(job: Job) -> dict[str, str]:
    return {"id": str(job.pk), "url": reverse("job", args=[job.pk])}


def _result(result: BulkResult) -> dict[str, object]:
    return {
        "uuid": str(result.uuid),
        "name": result.name,
        "job": _job(result.job) if result.job else None,
        "error": result.error.message if result.error else "",
        "hint": result.error.hint if result.error else "",
    }


def _refused(request: HttpRequest, error: VmdashError, back: str) -> HttpResponse:
    """The error in the form that was asked for. What depends on the guest's state is a message on the page before."""
    if _wants_json(request):
        status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 503)
        needs_confirmation = isinstance(error, ConfirmationNeeded)
        return JsonResponse(
            {"error": error.message, "hint": error.hint, "needs_confirmation": needs_confirmation}, status=status
        )
    match error:
        case InvalidInput():
            raise BadRequest(str(error)) from error
        case NotPermitted():
            raise PermissionDenied(str(error)) from error
        case NotFound():
            raise Http404(str(error)) from error
    messages.error(request, str(error))
    return redirect(back)


def _ask(request: HttpRequest, error: ConfirmationNeeded, domains: list[Domain], back: str) -> HttpResponse:
    """Without JavaScript, a missing confirmation is asked for on a page of its own."""
    action = services.find_action(request.POST["action"])
    context = {"domains": domains, "action": action, "error": error, "back": back, "tried": request.POST.get("confirm")}
    return render(request, "domains/confirm.html", context)


def _report(request: HttpRequest, results: list[BulkResult]) -> None:
    """One message for all that were asked for, one for each that was refused."""
    labels = [result.job.label for result in results if result.job]
    if labels:
        messages.success(request, f"Asked for: {', '.join(labels)}.")
    for result in results:
        if result.error:
            messages.error(request, str(result.error))

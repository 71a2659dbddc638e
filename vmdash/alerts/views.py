"""The page of alerts, what people do there, and where vmalert hands alerts over."""

from __future__ import annotations

import hmac

import orjson
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from vmdash.access.guards import SignedInRequest, allow, allow_everywhere, check
from vmdash.access.roles import Permission, can_everywhere
from vmdash.alerts import intake, selectors, services
from vmdash.alerts.forms import AcknowledgeForm, ReceiverForm, SilenceForm
from vmdash.alerts.models import Alert, Receiver, Silence
from vmdash.exceptions import Conflict, InvalidInput

MOST_BYTES = 8 << 20


@csrf_exempt
@login_not_required
@require_POST
def receive(request: HttpRequest) -> HttpResponse:
    """From vmalert (or Prometheus), which shows the token that it shares with us."""
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(), settings.ALERT_TOKEN.encode()):
        return JsonResponse({"error": "This token is not the right one."}, status=401)
    if int(request.headers.get("Content-Length") or 0) > MOST_BYTES:
        return JsonResponse({"error": "That is too much."}, status=413)
    try:
        taken = intake.take(orjson.loads(request.body))
    except orjson.JSONDecodeError:
        return JsonResponse({"error": "This is not JSON."}, status=400)
    except InvalidInput as error:
        return JsonResponse({"error": error.message}, status=400)
    return JsonResponse({"taken": taken})


@require_safe
@allow(Permission.VIEW)
def alerts(request: SignedInRequest) -> HttpResponse:
    return _show(request)


@require_POST
@allow(Permission.ALERTS)
def acknowledge(request: SignedInRequest, pk: int) -> HttpResponse:
    alert = _alert(request, pk)
    form = AcknowledgeForm(request.POST)
    if not form.is_valid():
        messages.error(request, "The note is too long.")
        return _show(request, 400)
    try:
        services.acknowledge(alert=alert, user=request.user, note=form.cleaned_data["note"])
    except Conflict as error:
        messages.error(request, str(error))
    return redirect("alerts")


@require_POST
@allow(Permission.ALERTS)
def silence(request: SignedInRequest, pk: int) -> HttpResponse:
    """All of this rule for the guest or host that the alert is about."""
    alert = _alert(request, pk)
    form = SilenceForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say why, and for how long.")
        return _show(request, 400)
    services.silence(
        user=request.user, alert=alert, reason=form.cleaned_data["reason"], ends_at=timezone.now() + form.lasts
    )
    return redirect("alerts")


@require_POST
@allow(Permission.ALERTS)
def end_silence(request: SignedInRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(Silence.objects.visible_to(request.user), pk=pk)
    check(request, Permission.ALERTS, found)
    services.end_silence(silence=found, user=request.user)
    return redirect("alerts")


@require_safe
@allow_everywhere(Permission.MANAGE_ALERTS)
def receivers(request: SignedInRequest) -> HttpResponse:
    return _show_receivers(request, ReceiverForm())


@require_POST
@allow_everywhere(Permission.MANAGE_ALERTS)
def add_receiver(request: SignedInRequest) -> HttpResponse:
    form = ReceiverForm(request.POST)
    if not form.is_valid():
        return _show_receivers(request, form, 400)
    try:
        made = services.add_receiver(user=request.user, **form.cleaned_data)
    except Conflict as error:
        form.add_error("address", error.message)
        return _show_receivers(request, form, 409)
    messages.success(request, f"{made.name} is told of alerts from now on.")
    return redirect("alert-receivers")


@require_POST
@allow_everywhere(Permission.MANAGE_ALERTS)
def try_receiver(request: SignedInRequest, pk: int) -> HttpResponse:
    receiver = get_object_or_404(Receiver, pk=pk)
    services.try_receiver(receiver=receiver, user=request.user)
    messages.success(request, f"A trial is on its way to {receiver.name}; this page says what came of it.")
    return redirect("alert-receivers")


@require_POST
@allow_everywhere(Permission.MANAGE_ALERTS)
def remove_receiver(request: SignedInRequest, pk: int) -> HttpResponse:
    receiver = get_object_or_404(Receiver, pk=pk)
    services.remove_receiver(receiver=receiver, user=request.user)
    messages.success(request, f"{receiver.name} is told nothing any more.")
    return redirect("alert-receivers")


def _show(request: SignedInRequest, status: int = 200) -> HttpResponse:
    context = {
        "page": selectors.alert_page(request.user),
        "silence_form": SilenceForm(),
        "may_manage": can_everywhere(request.user, Permission.MANAGE_ALERTS),
    }
    return render(request, "alerts/alerts.html", context, status=status)


def _show_receivers(request: SignedInRequest, form: ReceiverForm, status: int = 200) -> HttpResponse:
    context = {"form": form, "rows": selectors.receivers(), "sends_mail": settings.SENDS_MAIL}
    return render(request, "alerts/receivers.html", context, status=status)


def _alert(request: SignedInRequest, pk: int) -> Alert:
    alert = get_object_or_404(Alert.objects.visible_to(request.user), pk=pk)
    check(request, Permission.ALERTS, alert)
    return alert

"""The pages of webhooks: one's own, and for those who choose whom alerts are told to, everybody's."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.api.hook_forms import WebhookForm
from vmdash.exceptions import Conflict
from vmdash.webhooks import services
from vmdash.webhooks.models import Webhook

MOST_DELIVERIES = 50


@require_safe
@allow(Permission.WEBHOOKS)
def webhooks(request: SignedInRequest) -> HttpResponse:
    found = list(Webhook.objects.visible_to(request.user).select_related("owner"))
    rows = [(one, one.deliveries.exclude(tried_at=None).order_by("-tried_at").first()) for one in found]
    return render(request, "webhooks/list.html", {"rows": rows})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@allow(Permission.WEBHOOKS)
def add(request: SignedInRequest) -> HttpResponse:
    """The answer to a POST is the one page that shows the secret."""
    form = WebhookForm(request.user, request.POST if request.method == "POST" else None)
    if request.method != "POST":
        return _show_form(request, form)
    if not form.is_valid():
        return _show_form(request, form, status=400)
    try:
        made, key = services.add(user=request.user, choice=form.choice)
    except Conflict as error:
        form.add_error("name", str(error))
        return _show_form(request, form, status=409)
    return _show(request, made, key)


@require_safe
@allow(Permission.WEBHOOKS)
def webhook(request: SignedInRequest, pk: int) -> HttpResponse:
    return _show(request, _seen(request, pk))


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.WEBHOOKS)
def edit(request: SignedInRequest, pk: int) -> HttpResponse:
    found = _own(request, pk)
    form = WebhookForm(request.user, request.POST if request.method == "POST" else None, webhook=found)
    if request.method != "POST":
        return _show_form(request, form, found)
    if not form.is_valid():
        return _show_form(request, form, found, 400)
    try:
        services.change(webhook=found, user=request.user, choice=form.choice)
    except Conflict as error:
        form.add_error("name", str(error))
        return _show_form(request, form, found, 409)
    messages.success(request, f"{found.name} is changed.")
    return redirect("webhook", pk=pk)


@require_POST
@allow(Permission.WEBHOOKS)
def test(request: SignedInRequest, pk: int) -> HttpResponse:
    found = _own(request, pk)
    try:
        services.send_test(webhook=found, user=request.user)
    except Conflict as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "A test is on its way. What comes of it shows under Last told.")
    return redirect("webhook", pk=pk)


@require_POST
@never_cache
@allow(Permission.WEBHOOKS)
def secret(request: SignedInRequest, pk: int) -> HttpResponse:
    """A new one, shown in this answer alone."""
    found = _own(request, pk)
    return _show(request, found, services.renew_secret(webhook=found, user=request.user))


@require_POST
@allow(Permission.WEBHOOKS)
def switch_on(request: SignedInRequest, pk: int) -> HttpResponse:
    services.switch_on(webhook=_own(request, pk), user=request.user)
    return redirect("webhook", pk=pk)


@require_POST
@allow(Permission.WEBHOOKS)
def switch_off(request: SignedInRequest, pk: int) -> HttpResponse:
    found = _seen(request, pk)
    services.switch_off(webhook=found, reason=f"{request.user} switched it off.", user=request.user)
    return redirect("webhook", pk=pk)


@require_POST
@allow(Permission.WEBHOOKS)
def remove(request: SignedInRequest, pk: int) -> HttpResponse:
    found = _seen(request, pk)
    services.remove(webhook=found, user=request.user)
    messages.success(request, f"{found.name} is told nothing any more.")
    return redirect("webhooks")


def _seen(request: SignedInRequest, pk: int) -> Webhook:
    return get_object_or_404(Webhook.objects.visible_to(request.user).select_related("owner"), pk=pk)


def _own(request: SignedInRequest, pk: int) -> Webhook:
    """Only its owner says where it is and what it tells: it tells what its owner may see."""
    return get_object_or_404(Webhook.objects.owned_by(request.user), pk=pk)


def _show(request: SignedInRequest, found: Webhook, key: str = "") -> HttpResponse:
    context = {
        "webhook": found,
        "secret": key,
        "is_own": found.owner_id == request.user.pk,
        "deliveries": found.deliveries.select_related("event")[:MOST_DELIVERIES],
        "waiting": found.deliveries.waiting().count(),
    }
    return render(request, "webhooks/webhook.html", context)


def _show_form(
    request: SignedInRequest, form: WebhookForm, found: Webhook | None = None, status: int = 200
) -> HttpResponse:
    return render(request, "webhooks/form.html", {"form": form, "webhook": found}, status=status)

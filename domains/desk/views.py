"""The pages of the help desk."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from domains import services
from domains.actions import ACTIONS
from domains.desk.cards import cards_of, find
from domains.models import Domain
from domains.search import SearchError
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.exceptions import VmdashError

OFFERED = ("start", "restore", "shutdown", "reboot")
"""Actions that are asked for here. What destroys something is confirmed on the guest's own page."""


@require_safe
@allow(Permission.POWER)
def desk(request: SignedInRequest) -> HttpResponse:
    """One search box, and a card for each guest that is found."""
    text = request.GET.get("q", "").strip()
    try:
        found = find(request.user, text)
    except SearchError as error:
        return render(request, "desk/desk.html", {"text": text, "error": error}, status=400)
    return render(request, "desk/desk.html", {"text": text, "found": found})


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.POWER)
def act(request: SignedInRequest, uuid: UUID, action: str) -> HttpResponse:
    """GET: what to know before the guest is stopped or restarted. POST: have it done."""
    if action not in OFFERED:
        raise Http404("The desk has no such page.")
    guest = get_object_or_404(Domain.objects.visible_to(request.user).select_related("host"), pk=uuid)
    check(request, ACTIONS[action].permission, guest)
    back = f"{reverse('desk')}?{urlencode({'q': f'uuid:{guest.pk}'})}"
    if request.method == "POST":
        try:
            job = services.act(domain=guest, action=action, user=request.user)
            messages.success(request, f"Asked for: {job.label}.")
        except VmdashError as error:
            messages.error(request, str(error))
        return redirect(back)
    [card] = cards_of([guest], request.user)
    chosen = next((choice for choice in card.buttons if choice.action.key == action), None)
    return render(request, "desk/ask.html", {"card": card, "choice": chosen, "action": ACTIONS[action], "back": back})

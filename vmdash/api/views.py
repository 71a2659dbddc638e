"""The page of a person's tokens, and the page about the API."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.api import tokens as services
from vmdash.api.forms import TokenForm
from vmdash.api.models import Token, TokenScope
from vmdash.exceptions import Conflict, InvalidInput


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@allow(Permission.VIEW)
def tokens(request: SignedInRequest) -> HttpResponse:
    """One's own. POST makes one, and shows it this once."""
    form = TokenForm(request.POST if request.method == "POST" else None)
    made, text = None, ""
    if form.is_valid():
        try:
            made, text = services.make(
                user=request.user,
                name=form.cleaned_data["name"],
                scope=TokenScope(form.cleaned_data["scope"]),
                until=form.until(),
            )
            form = TokenForm()
        except (Conflict, InvalidInput) as error:
            form.add_error("name", str(error))
    context = {"form": form, "rows": Token.objects.filter(user=request.user), "made": made, "text": text}
    return render(request, "api/tokens.html", context, status=400 if form.is_bound else 200)


@require_POST
@allow(Permission.VIEW)
def withdraw(request: SignedInRequest, pk: int) -> HttpResponse:
    token = get_object_or_404(Token, user=request.user, pk=pk)
    services.withdraw(token=token, user=request.user)
    messages.success(request, f"“{token.name}” is withdrawn: nobody comes in with it any more.")
    return redirect("tokens")


@require_safe
@allow(Permission.VIEW)
def docs(request: SignedInRequest) -> HttpResponse:
    """All operations, to read and to try out."""
    settings = {"url": reverse("api:document"), "layout": "BaseLayout", "deepLinking": True}
    return render(request, "api/docs.html", {"settings": settings})

"""What sign-on does at every request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.deprecation import MiddlewareMixin
from redis import RedisError

from vmdash.access.models import User
from vmdash.access.second_factor import lacking

log = logging.getLogger(__name__)

SEEN_EVERY_S = 60
_SEEN = "seen_at"


class NoteSession(MiddlewareMixin):
    """Keeps when a session was last seen, and from where; once a minute, since that is written to the database."""

    def process_view(self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any) -> None:
        if not request.user.is_authenticated:
            return
        now = int(time.time())
        if now - request.session.get(_SEEN, 0) >= SEEN_EVERY_S:
            request.session[_SEEN] = now
            UserSession.objects.create_from_request(request)


class TellOfRedis(MiddlewareMixin):
    """Tries are counted in Redis. While it is away, codes and passkeys are not tried; passwords count elsewhere."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, RedisError) or not _is_of_the_account(request):
            return None
        log.warning("Nobody signs in with a second factor while Redis is away: %s", error)
        return render(request, "main/signon/later.html", status=503)


class RequireSecondFactor(MiddlewareMixin):
    """Whoever needs a second factor and has none can do nothing but set one up, and sign out."""

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        if not isinstance(request.user, User) or _is_of_the_account(request) or not lacking([request.user]):
            return None
        if "text/html" not in request.headers.get("Accept", "text/html"):
            return HttpResponse("Set up a second factor first, on the page of your account.\n", "text/plain", 403)
        messages.warning(request, "Your role needs a second factor. Set one up, then the rest opens.")
        return redirect("account")


def _is_of_the_account(request: HttpRequest) -> bool:
    name = (request.resolver_match and request.resolver_match.url_name) or ""
    return name.startswith(("account", "mfa_")) or name == "sign-out"

"""Who asks: `Authorization: Bearer TOKEN`."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja.errors import Throttled
from ninja.security import HttpBearer

from vmdash.access import bearers, origin
from vmdash.access.guards import SignedInRequest
from vmdash.access.models import User
from vmdash.access.second_factor import lacking
from vmdash.api import tokens
from vmdash.api.limits import seconds_to_wait
from vmdash.api.models import TokenScope
from vmdash.exceptions import NotPermitted

SAFE = ("GET", "HEAD", "OPTIONS")


class Bearer(HttpBearer):
    """From then on `request.user` is the token's person, who may do no more than the token."""

    def authenticate(self, request: HttpRequest, token: str) -> Any:
        found = tokens.find(token.strip())
        if found is None:
            return None
        lacks = lacking([found.user])  # before they may do no more than the token, which may need none
        request.user = tokens.person_of(found)
        if wait := seconds_to_wait(found.pk):
            raise Throttled(wait)
        tokens.note_use(found, origin.current().address)
        if lacks:
            raise NotPermitted(
                "Your role needs a second factor, also for tokens.", hint="Set one up on the page of your account."
            )
        if found.scope == TokenScope.READ and request.method not in SAFE:
            raise NotPermitted("This token may only read.", hint="Make one that may act.")
        return found


def shown_in(request: SignedInRequest) -> bearers.Bearer:
    """The token of this request, for tickets that shall count with it alone."""
    return bearers.Bearer(request.auth.digest)  # type: ignore[attr-defined]  # what `authenticate` found


def signed_in(request: HttpRequest) -> Any:
    """For what only tells of the API itself: who is signed in with a browser may read it, too."""
    return request.user if request.method in SAFE and isinstance(request.user, User) else None

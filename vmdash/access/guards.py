"""The first line of a view: who may come in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from hmac import compare_digest
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast

from django.conf import settings
from django.contrib.auth.decorators import login_not_required, login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from vmdash.access.reach import Placed
from vmdash.access.roles import Permission, can, can_everywhere

if TYPE_CHECKING:
    from vmdash.access.models import User

P = ParamSpec("P")
R = TypeVar("R")
"""What a view gives: for pages a response; operations of the API give what becomes one."""


class SignedInRequest(HttpRequest):
    """For annotations: what a view with `@allow` gets. A permission implies a person."""

    user: User


View = Callable[Concatenate[HttpRequest, P], R]
GuardedView = Callable[Concatenate[SignedInRequest, P], R]


def check(request: HttpRequest, permission: Permission, obj: Placed | None = None) -> None:
    """Refuse with 403 and the reason in words.

    Raises:
        PermissionDenied: the signed-in person lacks `permission`.
    """
    if not can(request.user, permission, obj):
        raise PermissionDenied(f"You may not {permission.label}.")


def allow(permission: Permission) -> Callable[[GuardedView[P, R]], View[P, R]]:
    """Decorate a view that needs `permission` on anything; what is about one object calls `check` as well."""
    return _guarding(permission, check)


def check_everywhere(request: HttpRequest, permission: Permission) -> None:
    """Refuse with 403 whoever may do it on some things alone: for what belongs to no site, host or guest."""
    check(request, permission)
    if not can_everywhere(request.user, permission):
        raise PermissionDenied(f"You may {permission.label} in some places only, and this is about all of them.")


def allow_everywhere(permission: Permission) -> Callable[[GuardedView[P, R]], View[P, R]]:
    """Decorate a view about what belongs to no site, host or guest."""
    return _guarding(permission, check_everywhere)


def _guarding(
    permission: Permission, check_it: Callable[[HttpRequest, Permission], None]
) -> Callable[[GuardedView[P, R]], View[P, R]]:
    def decorate(view: GuardedView[P, R]) -> View[P, R]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> R:
            check_it(request, permission)
            return view(cast(SignedInRequest, request), *args, **kwargs)

        guarded.permission = permission  # type: ignore[attr-defined]  # read by the access test, as the next
        guarded.everywhere = check_it is check_everywhere  # type: ignore[attr-defined]
        return guarded

    return decorate


def for_oneself(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Decorate a view about whoever is signed in, and nobody else: it takes no permission."""
    guarded = login_required(view)
    guarded.oneself = True  # type: ignore[attr-defined]  # read by the access test
    return guarded


def allow_scraper(
    permission: Permission,
) -> Callable[[GuardedView[P, HttpResponseBase]], View[P, HttpResponseBase]]:
    """Decorate a view that monitoring reads: the bearer of `VMDASH_METRICS_TOKEN` may, and who has `permission`
    everywhere."""

    def decorate(view: GuardedView[P, HttpResponseBase]) -> View[P, HttpResponseBase]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not _bears_token(request):
                if not request.user.is_authenticated:
                    return HttpResponse("Sign in, or send the token.\n", "text/plain", 401, headers=_CHALLENGE)
                check_everywhere(request, permission)
            return view(cast(SignedInRequest, request), *args, **kwargs)

        guarded.permission = permission  # type: ignore[attr-defined]
        guarded.everywhere = True  # type: ignore[attr-defined]
        return login_not_required(guarded)

    return decorate


_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="vmdash"'}


def _bears_token(request: HttpRequest) -> bool:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    known: str = settings.METRICS_TOKEN
    return bool(known) and kind.lower() == "bearer" and compare_digest(token.strip().encode(), known.encode())

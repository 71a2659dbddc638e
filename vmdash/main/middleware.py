"""What every request goes through."""

from __future__ import annotations

import re
from http import HTTPStatus

from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from vmdash.access.audit import record
from vmdash.access.models import User
from vmdash.live.hourly import times_in_this_hour

MANY_NOT_FOUND = 50
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Tabs and line ends are people's; nothing is called by any of the others, and PostgreSQL refuses NUL."""


class NoteGuessing(MiddlewareMixin):
    """Things that are not there, or not for this person, are not found: the two cannot be told apart, and a single one
    is a stale bookmark as a rule, so it is not written down. Whoever meets many of them within an hour may be guessing:
    that is one entry of the audit trail. The API makes its answers itself: there the answer is what counts."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        if isinstance(exception, Http404) and not _is_of_the_api(request):
            self._count(request)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.status_code == HTTPStatus.NOT_FOUND and _is_of_the_api(request):
            self._count(request)
        return response

    def _count(self, request: HttpRequest) -> None:
        user = getattr(request, "user", None)
        if not isinstance(user, User):
            return
        if times_in_this_hour(f"not-found:{user.pk}") == MANY_NOT_FOUND:
            words = f"{MANY_NOT_FOUND} things that are not there, or not for them, within an hour"
            record(
                user=user,
                action="page.guessing",
                target_kind="page",
                target_name=f"{request.method} {request.path}",
                refused=True,
                detail=words,
            )


def _is_of_the_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


class RefuseControlCharacters(MiddlewareMixin):
    """404 for an address, 400 for a parameter with a control character. Forms see to what is posted."""

    def process_request(self, request: HttpRequest) -> None:
        if _CONTROL.search(request.path_info):
            raise Http404("There is no such page.")
        if any(_CONTROL.search(text) for name, values in request.GET.lists() for text in (name, *values)):
            raise BadRequest("A parameter of the address has a control character in it.")

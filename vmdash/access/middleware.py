"""Every request has an address, and what is refused to a person is written down."""

from __future__ import annotations

from collections.abc import Awaitable
from http import HTTPStatus

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from vmdash.access import origin
from vmdash.access.audit import record
from vmdash.access.models import AuditEntry, User


class ProxyHeaders(MiddlewareMixin):
    """`X-Forwarded-Proto`, which says whether somebody came over https, is taken from proxies of ours alone."""

    def process_request(self, request: HttpRequest) -> None:
        if not origin.may_speak_for_others(request.META.get("REMOTE_ADDR", "")):
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)


class AuditTrail(MiddlewareMixin):
    """`REMOTE_ADDR` becomes the person's address; a 403 that no service has recorded is recorded here."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.async_mode:
            return self.__acall__(request)
        came = _begin(request)
        try:
            response: HttpResponseBase = self.get_response(request)  # type: ignore[assignment]
            if response.status_code == HTTPStatus.FORBIDDEN:
                _record_refusal(request, came)
        finally:
            origin.end()
        return response

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        came = _begin(request)
        response: HttpResponseBase = await self.get_response(request)  # type: ignore[misc]
        if response.status_code == HTTPStatus.FORBIDDEN:
            await sync_to_async(_record_refusal, thread_sensitive=True)(request, came)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        if isinstance(exception, PermissionDenied):
            request.refused_because = str(exception)  # type: ignore[attr-defined]


def _begin(request: HttpRequest) -> origin.Origin:
    came = origin.begin(request.META.get("REMOTE_ADDR", ""), [request.headers.get("X-Forwarded-For", "")])
    request.META["REMOTE_ADDR"] = came.address
    return came


def _record_refusal(request: HttpRequest, came: origin.Origin) -> None:
    """For people only: strangers shall not be able to fill the trail."""
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return
    if came.refusal_id and AuditEntry.objects.filter(pk=came.refusal_id).exists():
        return
    record(
        user=user,
        action="page.refused",
        target_kind="page",
        target_name=f"{request.method} {request.path}",
        refused=True,
        detail=getattr(request, "refused_because", ""),
    )

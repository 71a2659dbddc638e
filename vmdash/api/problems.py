"""What went wrong, as RFC 9457 has it: `application/problem+json`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import orjson
import redis
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, Throttled, ValidationError

from vmdash.api.checked import NotAsItShouldBe
from vmdash.exceptions import Conflict, InvalidInput, NotFound, NotPermitted, Unavailable, Unsupported, VmdashError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_STATUSES: tuple[tuple[type[VmdashError], HTTPStatus], ...] = (
    (InvalidInput, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotPermitted, HTTPStatus.FORBIDDEN),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (Unsupported, HTTPStatus.CONFLICT),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)
STATUSES = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
"""All that an operation may answer instead of what it promises."""
SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "`about:blank`, or `confirmation-needed`."},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What went wrong, in a sentence."},
        "hint": {"type": "string", "description": "What to do next."},
        "errors": {
            "type": "array",
            "description": "What is wrong where in what was sent.",
            "items": {
                "type": "object",
                "required": ["at", "message"],
                "properties": {"at": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_BLANK = "about:blank"
NOTHING = "There is no such thing."


def problem(
    status: int,
    detail: str,
    *,
    kind: str = _BLANK,
    hint: str = "",
    errors: Sequence[dict[str, str]] = (),
    headers: dict[str, str] | None = None,
) -> HttpResponse:
    body: dict[str, Any] = {"type": kind, "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if hint:
        body["hint"] = hint
    if errors:
        body["errors"] = list(errors)
    # Texts may hold what JSON as UTF-8 cannot: halves of surrogate pairs.
    text = orjson.dumps({key: _clean(value) for key, value in body.items()})
    return HttpResponse(text, status=status, content_type=MEDIA_TYPE, headers=headers)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [{name: _clean(text) for name, text in one.items()} for one in value]
    return value


def of_error(error: VmdashError) -> HttpResponse:
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), HTTPStatus.SERVICE_UNAVAILABLE)
    # Each app has its own: what they have in common is the name.
    kind = "confirmation-needed" if type(error).__name__ == "ConfirmationNeeded" else _BLANK
    errors = error.errors if isinstance(error, NotAsItShouldBe) else ()
    return problem(status, error.message, kind=kind, hint=error.hint, errors=errors)


def teach(api: NinjaAPI) -> None:
    """Have the API answer what is raised in its operations."""
    handlers: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
        VmdashError: _told,
        PermissionDenied: _denied,
        Http404: lambda request, error: problem(404, reason_of(error) or NOTHING),
        AuthenticationError: lambda request, error: problem(
            401, "Send a token that counts: Authorization: Bearer TOKEN.", headers={"WWW-Authenticate": "Bearer"}
        ),
        Throttled: lambda request, error: problem(
            429, "That were too many requests.", hint=f"Wait {error.wait} s.", headers={"Retry-After": str(error.wait)}
        ),
        HttpError: lambda request, error: problem(error.status_code, str(error)),
        ValidationError: _invalid,
        BadRequest: lambda request, error: problem(400, str(error)),
        RequestDataTooBig: lambda request, error: problem(413, "That is too much at once."),
        SuspiciousOperation: lambda request, error: problem(400, "The request makes no sense."),
        redis.RedisError: _redis_away,
        Exception: _broken,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def is_expected_by(request: HttpRequest) -> bool:
    """Whether the request is about the API, so that a page would not be understood."""
    return request.path_info.startswith("/api/") and not request.path_info.endswith("/docs")


def reason_of(error: Http404) -> str:
    """Where a view gave one in words."""
    told = error.args[0] if error.args else ""
    in_words = isinstance(told, str) and not told.endswith("matches the given query.")
    return told if in_words else ""


def _told(request: HttpRequest, error: VmdashError) -> HttpResponse:
    if isinstance(error, NotPermitted):
        request.refused_because = str(error)  # type: ignore[attr-defined]  # for the audit trail
    return of_error(error)


def _denied(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    request.refused_because = str(error)  # type: ignore[attr-defined]
    return problem(403, str(error) or "You may not do this.")


def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [{"at": ".".join(str(part) for part in one["loc"]), "message": str(one["msg"])} for one in error.errors]
    return problem(422, "What was sent is not as it should be.", errors=errors)


def _redis_away(request: HttpRequest, error: redis.RedisError) -> HttpResponse:
    log.warning("%s %s: Redis: %s", request.method, request.path, error)
    return problem(503, "Redis does not answer.", hint="Try again later.")


def _broken(request: HttpRequest, error: Exception) -> HttpResponse:
    log.exception("%s %s", request.method, request.path, exc_info=error)
    return problem(500, "vmdash made a mistake. Its log says which.")

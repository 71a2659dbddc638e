"""The header `Idempotency-Key`: what was asked for and is asked for again is done once."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import salted_hmac
from ninja import Status
from ninja.renderers import JSONRenderer

from vmdash.access.guards import SignedInRequest
from vmdash.api.models import KeptAnswer
from vmdash.exceptions import InvalidInput

P = ParamSpec("P")
KEPT_FOR = timedelta(days=1)
_KEY = re.compile(r"[\x21-\x7e]{1,100}")
PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Any text of your own, such as a UUID. The same key with the same request gives the same answer "
    "for a day, and nothing is done again.",
    "schema": {"type": "string", "pattern": f"^{_KEY.pattern}$", "minLength": 1, "maxLength": 100},
}
"""For the OpenAPI document."""


def once(view: Callable[Concatenate[SignedInRequest, P], Any]) -> Callable[Concatenate[SignedInRequest, P], Any]:
    """Decorate an operation that makes something, below `@allow`.

    All of it, the answer included, is one transaction: a request that is cut off in the middle has done nothing, and
    one that comes at the same time waits. Only what went well is kept.
    """

    @wraps(view)
    def kept(request: SignedInRequest, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return view(request, *args, **kwargs)
        if not _KEY.fullmatch(key):
            raise InvalidInput("An Idempotency-Key has 1 to 100 visible letters of ASCII.")
        asked = _digest(request)
        with transaction.atomic():
            if found := _earlier(request, key, asked):
                return _again(found, asked)
            result = view(request, *args, **kwargs)
            status, answer = _told(request, result)
            KeptAnswer.objects.filter(user=request.user, key=key).update(status=status, answer=answer)
        return result

    kept.makes_something = True  # type: ignore[attr-defined]  # the OpenAPI document names the header
    return kept


def forget_old() -> int:
    """How many answers were too old to be kept."""
    return KeptAnswer.objects.filter(made_at__lt=timezone.now() - KEPT_FOR).delete()[0]


def _earlier(request: SignedInRequest, key: str, asked: str) -> KeptAnswer | None:
    """What was answered to this key; None, when the key is new, and from now on ours."""
    mine = KeptAnswer.objects.filter(user=request.user, key=key)
    mine.filter(made_at__lt=timezone.now() - KEPT_FOR).delete()
    try:
        with transaction.atomic():
            KeptAnswer.objects.create(user=request.user, key=key, request=asked)
    except IntegrityError:
        return mine.get()
    return None


def _again(found: KeptAnswer, asked: str) -> HttpResponse:
    if found.request != asked:
        raise InvalidInput("This Idempotency-Key was used for another request.", hint="Choose a new one.")
    return HttpResponse(
        found.answer, status=found.status, content_type="application/json", headers={"Idempotency-Replayed": "true"}
    )


def _digest(request: HttpRequest) -> str:
    """With the site's key: a request may hold a password, which nobody shall guess from what is kept of it."""
    whole = f"{request.method} {request.get_full_path()}\n".encode() + request.body
    return salted_hmac("vmdash.api.once", whole, algorithm="sha256").hexdigest()


def _told(request: HttpRequest, result: Any) -> tuple[int, str]:
    """The status and the text of what is answered."""
    status, value = (result.status_code, result.value) if isinstance(result, Status) else (200, result)
    return status, JSONRenderer().render(request, value, response_status=status)

"""The addresses of the operations."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed
from django.urls import URLPattern, URLResolver
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import conditional_page

from vmdash.api.api import api
from vmdash.api.problems import problem

app_name = "api"
View = Callable[..., HttpResponseBase]


def _served(view: View) -> View:
    """With an ETag and 304; 405 as a problem. Who asks is the token's person, whoever is signed in."""
    checked = conditional_page(view)

    @csrf_exempt
    @login_not_required
    @wraps(view)
    def served(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponseBase:
        response = checked(request, *arguments, **named)
        if isinstance(response, HttpResponseNotAllowed):
            allowed = response["Allow"]
            response = problem(405, f"Here one may ask with {allowed}.", headers={"Allow": allowed})
        patch_cache_control(response, private=True, no_cache=True)
        patch_vary_headers(response, ["Authorization"])
        return response

    return served


def _patterns() -> list[URLPattern | URLResolver]:
    patterns = [one for one in api.urls[0] if isinstance(one, URLPattern) and one.name != "api-root"]
    for pattern in patterns:
        pattern.callback = _served(pattern.callback)
    return list(patterns)


urlpatterns = _patterns()

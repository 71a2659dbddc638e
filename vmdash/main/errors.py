"""The pages for what went wrong. `templates/500.html` stands alone, for when nothing else works."""

from __future__ import annotations

from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """With the reason where a view gave one in words; what Django finds suspicious is not repeated."""
    reason = str(exception) if isinstance(exception, BadRequest) else ""
    return render(request, "400.html", {"reason": reason}, status=400)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """With the reason where a view gave one in words."""
    told = exception.args[0] if isinstance(exception, Http404) and exception.args else ""
    in_words = isinstance(told, str) and not told.endswith("matches the given query.")
    return render(request, "404.html", {"reason": told if in_words else ""}, status=404)

"""The pages for what went wrong. `templates/500.html` stands alone, for when nothing else works."""

from __future__ import annotations

from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from vmdash.api import problems


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """With the reason where a view gave one in words; what Django finds suspicious is not repeated."""
    reason = str(exception) if isinstance(exception, BadRequest) else ""
    if problems.is_expected_by(request):
        return problems.problem(400, reason or "The request makes no sense.")
    return render(request, "400.html", {"reason": reason}, status=400)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """With the reason where a view gave one in words."""
    reason = problems.reason_of(exception) if isinstance(exception, Http404) else ""
    if problems.is_expected_by(request):
        return problems.problem(404, reason or problems.NOTHING)
    return render(request, "404.html", {"reason": reason}, status=404)

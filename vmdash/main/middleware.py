"""What every request goes through."""

from __future__ import annotations

import re

from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest
from django.utils.deprecation import MiddlewareMixin

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Tabs and line ends are people's; nothing is called by any of the others, and PostgreSQL refuses NUL."""


class RefuseControlCharacters(MiddlewareMixin):
    """404 for an address, 400 for a parameter with a control character. Forms see to what is posted."""

    def process_request(self, request: HttpRequest) -> None:
        if _CONTROL.search(request.path_info):
            raise Http404("There is no such page.")
        if any(_CONTROL.search(text) for name, values in request.GET.lists() for text in (name, *values)):
            raise BadRequest("A parameter of the address has a control character in it.")

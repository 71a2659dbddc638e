"""By what wrong passwords are counted, so that nobody gets more tries by other ways of writing the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from django.http import HttpRequest

from vmdash.access import origin

NO_ADDRESS = "::"
"""Behind a socket file nobody has one."""


def client_address(request: HttpRequest) -> str:
    """The same as in the audit trail."""
    return origin.current().address or NO_ADDRESS


def counted_name(request: HttpRequest, credentials: Mapping[str, str] | None = None) -> str:
    """`Ada` and `ada` are the same person, here and in directories."""
    name = (credentials or request.POST).get("username") or ""
    return unicodedata.normalize("NFKC", name).strip().casefold()

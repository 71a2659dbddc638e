"""Where somebody comes to who signs in and did not ask for a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.shortcuts import resolve_url

from vmdash.access.reach import reach_of
from vmdash.access.roles import ROLE_PERMISSIONS, Role

if TYPE_CHECKING:
    from vmdash.access.models import User


def home_of(user: User | AnonymousUser) -> str:
    """The desk for those who are help desk wherever they are something; the fleet page for all others."""
    held = reach_of(user).kinds
    return resolve_url("desk" if held == {ROLE_PERMISSIONS[Role.HELP_DESK]} else settings.LOGIN_REDIRECT_URL)


def wish(address: str) -> str:
    """The page that somebody asked for before they signed in. The first one is where people come who ask for none."""
    return "" if address == resolve_url(settings.LOGIN_REDIRECT_URL) else address

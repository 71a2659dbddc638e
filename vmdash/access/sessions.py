"""Who a session belongs to at this moment, for connections that outlive a request."""

from __future__ import annotations

from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from vmdash.access.models import User


def person_of(session_key: str | None) -> User | AnonymousUser:
    """The person signed in with this session now; anonymous once it has ended, or the password was changed.

    Two queries. A page that stays open must ask again: roles and sessions are withdrawn meanwhile.
    """
    engine = import_module(settings.SESSION_ENGINE)
    request = HttpRequest()
    request.session = engine.SessionStore(session_key)
    return get_user(request)

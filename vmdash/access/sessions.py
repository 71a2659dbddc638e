"""Who a session belongs to at this moment, for connections that outlive a request."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.models import Session
from django.http import parse_cookie
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from vmdash.access.bearers import Bearer, Key, people_bearing
from vmdash.access.models import Grant, User
from vmdash.access.second_factor import lacking


def key_of(headers: Mapping[str, str]) -> Key:
    """Of who asks: a script shows its token, a browser its session; empty: neither."""
    bearer = Bearer.of(headers.get("Authorization", ""))
    return bearer or parse_cookie(headers.get("Cookie", "")).get(settings.SESSION_COOKIE_NAME, "")


def person_of(key: Key | None) -> User | AnonymousUser:
    """The person signed in with this session now, or whose token it is; anonymous once it has ended, or the password
    was changed.

    Four queries. A page that stays open must ask again: grants and sessions are withdrawn meanwhile.
    """
    if isinstance(key, Bearer):
        return people_bearing([key]).get(key) or AnonymousUser()
    return people_of([key] if key else []).get(key or "", AnonymousUser())


def people_of(session_keys: Collection[str]) -> dict[str, User]:
    """The same for many sessions by their keys, still in four queries. Anonymous ones are missing.

    What they may do is read with them: `can` about any of them asks the database no more.
    """
    kept = Session.objects.filter(session_key__in=session_keys, expire_date__gt=timezone.now())
    decoded = {session.session_key: session.get_decoded() for session in kept}
    contents = {
        key: content
        for key, content in decoded.items()
        if SESSION_KEY in content and content.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
    }
    users = User.objects.filter(is_active=True).in_bulk({int(content[SESSION_KEY]) for content in contents.values()})
    granted = Grant.objects.by_person(users.values())
    for pk, person in users.items():
        person.reach = person.reach_with(granted[pk])
    for pk in lacking(users.values()):
        del users[pk]  # pages send them to set a second factor up
    return {
        key: user
        for key, content in contents.items()
        if (user := users.get(int(content[SESSION_KEY])))
        and constant_time_compare(content.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
    }

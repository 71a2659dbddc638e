"""The company's directory (LDAP): whoever gives the right password there comes in, and is in the groups it says."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import ldap
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import ValidationError
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest
from django_auth_ldap.backend import LDAPBackend, ldap_error
from django_auth_ldap.config import LDAPSearch

from vmdash.access.audit import record
from vmdash.access.models import DIRECTORY, User
from vmdash.main.signon.groups import follow_groups

AWAY = "directory_away"
ANSWER_S = 5
_HERE = ("127.0.0.1", "::1", "localhost")
_ABOUT = (("first_name", "givenName", 150), ("last_name", "sn", 150), ("email", "mail", 254))
"""What is kept about somebody, where it is over there, and how long it may be here."""
_MEMBERS = "(|(member=%(dn)s)(uniqueMember=%(dn)s)(memberUid=%(name)s))"


class Directory(LDAPBackend):
    """Asks only about names that are no other account's: nobody becomes a local administrator by a name over there."""

    @property
    def default_settings(self) -> dict[str, Any]:
        server = urlsplit(settings.LDAP_URL)
        return {
            "SERVER_URI": settings.LDAP_URL,
            "START_TLS": server.scheme == "ldap" and server.hostname not in _HERE,
            "BIND_DN": settings.LDAP_BIND_DN,
            "BIND_PASSWORD": settings.LDAP_BIND_PASSWORD,
            "USER_SEARCH": LDAPSearch(
                settings.LDAP_PEOPLE,
                ldap.SCOPE_SUBTREE,
                f"({settings.LDAP_NAME}=%(user)s)",
                [settings.LDAP_NAME, *(attribute for _, attribute, _ in _ABOUT)],
            ),
            "ALWAYS_UPDATE_USER": False,  # `get_or_build_user` does
            "CONNECTION_OPTIONS": {
                ldap.OPT_NETWORK_TIMEOUT: ANSWER_S,
                ldap.OPT_TIMEOUT: ANSWER_S,
                ldap.OPT_REFERRALS: 0,
                ldap.OPT_X_TLS_REQUIRE_CERT: ldap.OPT_X_TLS_DEMAND,
                ldap.OPT_X_TLS_CACERTFILE: settings.LDAP_CA,
                ldap.OPT_X_TLS_NEWCTX: 0,  # the last: it takes what was said before
            },
        }

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if not username or _is_anothers(username):
            return None
        user: User | None = super().authenticate(request, username, password, **kwargs)
        return user

    def get_user(self, user_id: int) -> User | None:
        return ModelBackend().get_user(user_id)

    def get_or_build_user(self, username: str, ldap_user: Any) -> tuple[User, bool]:
        """Their password was right. All of it is stored, or nothing is."""
        name = _name(username, ldap_user)
        groups = _groups(name, ldap_user)
        with transaction.atomic():
            user = _account(name.lower(), ldap_user)
            if groups is not None:
                follow_groups(user, groups)
        return user, False


@receiver(ldap_error, sender=Directory)
def _tell(exception: Exception, **kwargs: Any) -> None:
    """Not that the password was wrong: nobody knows."""
    raise ValidationError("The directory does not answer.", code=AWAY) from exception


def _is_anothers(name: str) -> bool:
    """Whether an account of that name did not come from the directory."""
    known = User.objects.filter(username__iexact=name.strip())
    return known.exists() and not known.filter(socialaccount__provider=DIRECTORY).exists()


def _name(typed: str, ldap_user: Any) -> str:
    """As the directory writes it; somebody may have several."""
    names = ldap_user.attrs[settings.LDAP_NAME]
    return next((name for name in names if name.lower() == typed.strip().lower()), min(names))


def _account(name: str, ldap_user: Any) -> User:
    """Of the person, up to date; made when they come for the first time. Its `uid` is the name in small letters."""
    link = SocialAccount.objects.filter(provider=DIRECTORY, uid=name).select_related("user").first()
    if link is None and User.objects.filter(username__iexact=name).exists():
        raise ldap_user.AuthenticationFailed("the name is another account's")
    user: User = link.user if link else User(username=name)
    for field, attribute, longest in _ABOUT:
        value = (ldap_user.attrs.get(attribute) or [""])[0]
        setattr(user, field, value.replace("\0", "")[:longest])
    if link is None:
        user.set_unusable_password()
        user.save()
        SocialAccount.objects.create(user=user, provider=DIRECTORY, uid=name)
        record(user=None, action="person.add", target_kind="user", target_id=user.pk, target_name=name,
               detail="by the directory")  # fmt: skip
    else:
        user.save(update_fields=[field for field, _, _ in _ABOUT])
    return user


def _groups(name: str, ldap_user: Any) -> list[str] | None:
    """The names of those that have the person as a member; None when groups are not taken from the directory."""
    if not settings.LDAP_GROUPS:
        return None
    search = LDAPSearch(settings.LDAP_GROUPS, ldap.SCOPE_SUBTREE, _MEMBERS, ["cn"])
    found = search.execute(ldap_user.connection, {"dn": ldap_user.dn, "name": name})
    return [attributes["cn"][0] for _, attributes in found if attributes.get("cn")]

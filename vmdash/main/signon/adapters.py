"""What vmdash decides differently from django-allauth."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.utils import get_next_redirect_url
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base import AuthProcess
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from vmdash.access.audit import record
from vmdash.access.encryption import cipher
from vmdash.access.models import User
from vmdash.access.second_factor import FACTORS, needs_one
from vmdash.main.refusals import note_refusal
from vmdash.main.signon.counted import client_address
from vmdash.main.signon.groups import follow_claims
from vmdash.main.signon.home import home_of, wish


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Accounts are made by administrators."""
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Wrong passwords are counted by django-axes alone."""

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Not for those who have nothing to show again: they come from the provider, and have no second factor yet."""
        return bool(self.get_reauthentication_methods(context.request.user))

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Asked to show once more that it is them, they gave a wrong password."""
        if isinstance(request.user, User):
            note_refusal(name=request.user.username, why="wrong password", user=request.user)

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        return home_of(request.user)

    def respond_user_inactive(self, request: HttpRequest, user: User) -> HttpResponse:
        note_refusal(name=user.username, why="the account is switched off")
        messages.error(request, "This account is switched off. Ask an administrator.")
        return HttpResponseRedirect("/sign-in/")

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        """The sign-in is complete, with all its steps."""
        record(user=user, action="sign_in", detail=_methods(request))
        asked_for = kwargs.pop("redirect_url", None) or get_next_redirect_url(request) or ""
        response: HttpResponse = super().post_login(
            request, user, redirect_url=wish(asked_for) or home_of(user), **kwargs
        )
        return response

    def add_message(self, request: HttpRequest, level: int, *args: Any, **kwargs: Any) -> None:
        """Whoever comes in sees so; of other changes people are told."""
        if kwargs.get("message_template", args[0] if args else "") != "account/messages/logged_in.txt":
            super().add_message(request, level, *args, **kwargs)

    def send_notification_mail(self, template_prefix: str, user: User, *args: Any, **kwargs: Any) -> None:
        """django-allauth would tell by mail that something changed about how they sign in: the audit trail does."""
        if changed := _CHANGES.get(template_prefix.removeprefix("mfa/email/")):
            record(user=user, action="person.second_factor", target_kind="user", target_id=user.pk,
                   target_name=user.username, detail=changed)  # fmt: skip


_CHANGES = {
    "totp_activated": "authenticator app set up",
    "totp_deactivated": "authenticator app removed",
    "webauthn_added": "passkey added",
    "webauthn_removed": "passkey removed",
    "recovery_codes_generated": "new recovery codes",
}


def _methods(request: HttpRequest) -> str:
    """By what they signed in: `password, totp`."""
    records = request.session.get("account_authentication_methods", [])
    return ", ".join(str(step.get("type") or step.get("provider") or step["method"]) for step in records)


class SecondFactorAdapter(DefaultMFAAdapter):
    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "cannot_delete_authenticator": "Your role needs a second factor: the last one cannot be removed.",
    }

    def encrypt(self, text: str) -> str:
        return cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return cipher().decrypt(encrypted_text.encode()).decode()

    def get_totp_label(self, user: User) -> str:
        return user.username

    def generate_authenticator_name(self, user: User, type: Authenticator.Type) -> str:
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return f"Passkey {number}" if number > 1 else "Passkey"

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """The last one stays where one is needed."""
        others = Authenticator.objects.filter(user=authenticator.user, type__in=FACTORS).exclude(pk=authenticator.pk)
        return not needs_one(authenticator.user) or others.exists()


class ProviderAdapter(DefaultSocialAccountAdapter):
    """Of people who come from the company's OpenID provider."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """Whoever the provider knows gets an account. Without a grant it shows nothing."""
        return True

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        if sociallogin.state.get("process") != AuthProcess.LOGIN:
            raise PermissionDenied("Accounts are not linked.")
        if sociallogin.is_existing:
            follow_claims(sociallogin.user, sociallogin.account.extra_data)

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> User:
        user: User = super().save_user(request, sociallogin, form)
        record(user=None, action="person.add", target_kind="user", target_id=user.pk, target_name=user.username,
               detail=f"by {sociallogin.account.get_provider().name}")  # fmt: skip
        follow_claims(user, sociallogin.account.extra_data)
        return user

    def on_authentication_error(self, request: HttpRequest, provider: Any, *args: Any, **kwargs: Any) -> None:
        note_refusal(name=str(provider), why="the OpenID provider did not let them in")

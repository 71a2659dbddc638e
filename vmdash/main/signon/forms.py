"""The forms of the second step, and of passkeys. What is refused is written to the audit trail."""

from __future__ import annotations

from typing import Any

from allauth.core import context
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from django.core.exceptions import ValidationError

from vmdash.access.models import User
from vmdash.main.refusals import note_refusal

ODD = (ValidationError, ValueError, TypeError, KeyError, AttributeError)
"""What comes of an answer that no browser gives."""


def _note(user: User | None, why: str) -> None:
    signed_in = context.request.user
    note_refusal(name=user.username if user else "", why=why, user=signed_in if isinstance(signed_in, User) else None)


class _Code:
    def clean_code(self) -> str:
        try:
            return super().clean_code()  # type: ignore[misc]
        except ValidationError as error:
            _note(self.user, "wrong code" if error.code == "incorrect_code" else "too many codes")  # type: ignore[attr-defined]
            raise


class CodeForm(_Code, AuthenticateForm):
    """A code of the authenticator app, or a recovery code."""


class ConfirmCodeForm(_Code, ReauthenticateForm):
    """The same, from somebody who is signed in."""


class PasskeyForm(AuthenticateWebAuthnForm):
    """A passkey after the password."""

    def clean_credential(self) -> Authenticator:
        try:
            return super().clean_credential()
        except ODD as error:
            _note(self.user, "the passkey did not fit")
            raise ValidationError("This passkey does not fit. Try again, or sign in otherwise.") from error


class PasskeyAloneForm(PasskeyForm, LoginWebAuthnForm):
    """A passkey in place of the password."""


class ConfirmPasskeyForm(PasskeyForm, ReauthenticateWebAuthnForm):
    """A passkey from somebody who is signed in."""


class AddPasskeyForm(AddWebAuthnForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].max_length = 100
        self.fields["passwordless"].label = "It may take the place of the password"
        self.fields["passwordless"].help_text = "The device asks for a PIN, a finger or a face then."

    def clean(self) -> dict[str, Any]:
        try:
            return super().clean()
        except ODD as error:
            raise ValidationError({"credential": "The browser gave no passkey that can be used. Try again."}) from error

"""The form of the second step."""

from __future__ import annotations

from allauth.core import context
from allauth.mfa.base.forms import AuthenticateForm
from django.core.exceptions import ValidationError

from vmdash.main.refusals import note_refusal


class CodeForm(AuthenticateForm):
    """A code of the authenticator app, or a recovery code. A wrong one is written to the audit trail."""

    def clean_code(self) -> str:
        try:
            code: str = super().clean_code()
        except ValidationError:
            address = context.request.META.get("REMOTE_ADDR", "")
            note_refusal(name=self.user.username, address=f"{address} (the code was wrong)")
            raise
        return code

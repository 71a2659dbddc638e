"""Forms about alerts."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.validators import EmailValidator

from vmdash.alerts.models import Receiver

DURATIONS = (
    (1, "an hour"), (4, "four hours"), (24, "a day"), (72, "three days"), (168, "a week"), (720, "a month"),
)  # fmt: skip


class AcknowledgeForm(forms.Form):
    note = forms.CharField(required=False, max_length=300)


class SilenceForm(forms.Form):
    """For how long, and why."""

    hours = forms.TypedChoiceField(choices=DURATIONS, coerce=int, initial=4, label="For")
    reason = forms.CharField(max_length=300, widget=forms.TextInput(attrs={"placeholder": "Why"}))

    @property
    def lasts(self) -> timedelta:
        return timedelta(hours=self.cleaned_data["hours"])


class ReceiverForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    secret = forms.CharField(
        required=False,
        max_length=200,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="For a webhook: X-Vmdash-Signature is the HMAC-SHA256 of the body with it.",
    )

    class Meta:
        model = Receiver
        fields = ("name", "kind", "address", "secret", "least")
        labels = {"kind": "By", "least": "From severity"}
        help_texts = {"address": "An address for mail, or a URL such as https://chat.example.org/hook"}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        address, kind = cleaned.get("address", ""), cleaned.get("kind", "")
        if address and kind == Receiver.Kind.MAIL:
            try:
                EmailValidator()(address)
            except forms.ValidationError:
                self.add_error("address", "This is no address for mail.")
        elif address and not _is_webhook(address):
            self.add_error(
                "address", "Write an http or https URL without a password; link-local addresses are refused."
            )
        return cleaned


def _is_webhook(address: str) -> bool:
    """A cloud's own service at a link-local address gives secrets away to whoever asks."""
    try:
        url = urlsplit(address)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.password:
            return False
        url.port  # noqa: B018  (raises for what is none)
    except ValueError:
        return False
    try:
        return not ipaddress.ip_address(url.hostname).is_link_local
    except ValueError:  # a name
        return True

"""What people say about a new token."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import forms
from django.utils import timezone

from vmdash.api.models import TokenScope

_LASTS = ((7, "a week"), (30, "a month"), (90, "three months"), (365, "a year"), (0, "until you withdraw it"))


class TokenForm(forms.Form):
    name = forms.CharField(
        max_length=80,
        label="What it is for",
        help_text="So that you know later which one it is: “backup script on ops1”.",
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    scope = forms.ChoiceField(
        choices=TokenScope.choices,
        initial=TokenScope.READ,
        label="What it may do",
        help_text="Never more than you yourself may at that moment.",
    )
    days = forms.TypedChoiceField(choices=_LASTS, coerce=int, initial=90, label="It counts for")

    def until(self) -> datetime | None:
        """When it ends. Only after `is_valid()`."""
        days = self.cleaned_data["days"]
        return timezone.now() + timedelta(days=days) if days else None

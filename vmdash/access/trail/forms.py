"""The search above the audit trail."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def _search(label: str, most: int) -> forms.CharField:
    widget = forms.TextInput(attrs={"type": "search", "placeholder": label, "spellcheck": "false", "size": 16})
    return forms.CharField(required=False, max_length=most, label=label, widget=widget)


def _moment(label: str) -> forms.DateTimeField:
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    limits = [MinValueValidator(_EARLIEST), MaxValueValidator(_LATEST)]
    return forms.DateTimeField(required=False, label=label, widget=widget, validators=limits)


class AuditSearch(forms.Form):
    """Everything is optional; `conditions` are keyword arguments of `selectors.entries`."""

    who = _search("Person or address", 150)
    action = _search("Action", 60)
    what = _search("What", 255)
    since = _moment("From")
    until = _moment("To")
    result = forms.ChoiceField(
        required=False, choices=[("", "Any result"), ("done", "done"), ("failed", "failed"), ("refused", "refused")]
    )

    def conditions(self) -> dict[str, Any]:
        return dict(self.cleaned_data)

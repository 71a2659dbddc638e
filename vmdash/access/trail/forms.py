"""The search above the audit trail."""

from __future__ import annotations

from typing import Any

from django import forms

from vmdash.access.fields import moment_field


def _search(label: str, most: int) -> forms.CharField:
    widget = forms.TextInput(attrs={"type": "search", "placeholder": label, "spellcheck": "false", "size": 16})
    return forms.CharField(required=False, max_length=most, label=label, widget=widget)


class AuditSearch(forms.Form):
    """Everything is optional; `conditions` are keyword arguments of `selectors.entries`."""

    who = _search("Person or address", 150)
    action = _search("Action", 60)
    what = _search("What", 255)
    since = moment_field("From")
    until = moment_field("To")
    result = forms.ChoiceField(
        required=False, choices=[("", "Any result"), ("done", "done"), ("failed", "failed"), ("refused", "refused")]
    )

    def conditions(self) -> dict[str, Any]:
        return dict(self.cleaned_data)

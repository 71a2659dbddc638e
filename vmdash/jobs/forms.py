"""The filter above the list of jobs."""

from __future__ import annotations

from typing import Any

from django import forms

from vmdash.jobs import registry
from vmdash.jobs.models import Job
from vmdash.jobs.selectors import UNFINISHED


class JobFilter(forms.Form):
    """Everything is optional; `conditions` are keyword arguments of `selectors.jobs_for`."""

    state = forms.ChoiceField(
        required=False, choices=[("", "Any state"), (UNFINISHED, "not finished"), *Job.State.choices]
    )
    kind = forms.ChoiceField(required=False, choices=lambda: [("", "Any kind"), *registry.choices()])
    target = forms.CharField(
        required=False,
        max_length=255,
        label="Guest or host",
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Guest or host", "spellcheck": "false"}),
    )
    person = forms.CharField(
        required=False,
        max_length=150,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Person", "spellcheck": "false"}),
    )

    def conditions(self) -> dict[str, Any]:
        return dict(self.cleaned_data)

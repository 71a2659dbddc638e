"""What a drain does with guests that cannot move."""

from __future__ import annotations

from django import forms

from domains.draining.models import Fallback
from domains.draining.plan import Policy


class PolicyForm(forms.Form):
    """Stands in the page's address, so that changing it shows another plan."""

    fallback = forms.ChoiceField(choices=Fallback.choices, initial=Fallback.SAVE, label="Guests that cannot move")
    strict = forms.BooleanField(required=False, label="Do not begin if any guest cannot move, also one that is off")

    def policy(self) -> Policy:
        """Only after `is_valid()`."""
        return Policy(Fallback(self.cleaned_data["fallback"]), self.cleaned_data["strict"])

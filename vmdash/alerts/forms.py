"""Forms about alerts."""

from __future__ import annotations

from datetime import timedelta

from django import forms

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
    """Somebody who is told of alerts by mail."""

    address = forms.EmailField(max_length=254, label="Address")

    class Meta:
        model = Receiver
        fields = ("name", "address", "least")
        labels = {"least": "From severity"}

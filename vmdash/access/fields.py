"""Form fields about time, as browsers give it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def moment_field(label: str, **more: Any) -> forms.DateTimeField:
    """A day and a time, which may stay empty."""
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    limits = [MinValueValidator(_EARLIEST), MaxValueValidator(_LATEST)]
    return forms.DateTimeField(required=False, label=label, widget=widget, validators=limits, **more)

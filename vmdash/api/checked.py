"""The forms of the pages check what scripts send, too, so that there is one set of rules."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS

from vmdash.exceptions import InvalidInput


class NotAsItShouldBe(InvalidInput):
    """What a form has to say of its fields."""

    def __init__(self, form: forms.BaseForm) -> None:
        super().__init__("What was sent is not as it should be.")
        self.errors = [
            {"at": field if field != NON_FIELD_ERRORS else "", "message": str(message)}
            for field, messages in form.errors.items()
            for message in messages
        ]


def checked(form: forms.BaseForm) -> dict[str, Any]:
    """Its cleaned data. Raises InvalidInput."""
    if not form.is_valid():
        raise NotAsItShouldBe(form)
    return form.cleaned_data

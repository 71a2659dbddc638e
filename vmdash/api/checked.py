"""The forms of the pages check what scripts send, too, so that there is one set of rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS

from vmdash.exceptions import InvalidInput


class NotAsItShouldBe(InvalidInput):
    """What forms have to say of their fields. Each stands under the member in which its fields were sent; "": none."""

    def __init__(self, among: Iterable[tuple[str, forms.BaseForm]]) -> None:
        super().__init__("What was sent is not as it should be.")
        self.errors = [
            {"at": ".".join(part for part in (member, field) if part and part != NON_FIELD_ERRORS), "message": str(one)}
            for member, form in among
            for field, messages in form.errors.items()
            for one in messages
        ]


def checked(form: forms.BaseForm) -> dict[str, Any]:
    """Its cleaned data. Raises InvalidInput."""
    if not form.is_valid():
        raise NotAsItShouldBe([("", form)])
    return form.cleaned_data

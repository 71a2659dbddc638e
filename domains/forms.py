"""What people send about guests."""

from __future__ import annotations

from django import forms
from django.http import QueryDict

from domains.table import Sort
from hosts.models import Tag
from vmdash.exceptions import InvalidInput

MOST_TAGS = 30
PAGE_SIZE = 50


def whole_number(query: QueryDict, name: str, default: int, *, least: int, most: int) -> int:
    """A number of the query string. Raises InvalidInput."""
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise InvalidInput(f"“{name}” is {text[:40]!r}. Write a whole number from {least} to {most}.")
    return int(text)


def sort_of(query: QueryDict) -> Sort:
    """The order that the query string asks for. Raises InvalidInput."""
    return Sort.parse(query.get("sort", ""))


class NoteForm(forms.Form):
    """Whose guest it is, and what to know before it is stopped."""

    owner = forms.CharField(max_length=120, required=False)
    note = forms.CharField(max_length=500, required=False)


class TagsForm(forms.Form):
    """Tags of a guest: names between spaces or commas."""

    tags = forms.CharField(max_length=1000, required=False)

    def clean_tags(self) -> list[str]:
        names = sorted(set(self.cleaned_data["tags"].replace(",", " ").split()))
        if len(names) > MOST_TAGS:
            raise forms.ValidationError(f"At most {MOST_TAGS} tags.")
        field = Tag._meta.get_field("name")
        for name in names:
            try:
                field.run_validators(name)
            except forms.ValidationError as error:
                raise forms.ValidationError(f"“{name[:40]}”: {' '.join(error.messages)}") from None
        return names

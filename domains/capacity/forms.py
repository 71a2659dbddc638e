"""The question of the what-if page, and the choices of the capacity page. All of it stands in the address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError

from domains.capacity.sheet import KINDS, SORT_CHOICES
from domains.capacity.takers import CPU_RATIO
from domains.capacity.what_if import Wish
from domains.models import Domain
from hosts.models import Host

if TYPE_CHECKING:
    from vmdash.access.models import User

MOST_HOSTS = 100
MOST_GUESTS = 1000


class ViewForm(forms.Form):
    """How the lists are ordered, and which of them."""

    sort = forms.ChoiceField(choices=[(name, name) for name in SORT_CHOICES], required=False)
    kind = forms.ChoiceField(choices=[(name, name) for name in KINDS], required=False)


class WhatIfForm(forms.Form):
    hosts = forms.IntegerField(label="Add hosts", min_value=0, max_value=MOST_HOSTS, required=False, initial=0)
    like_host = forms.ModelChoiceField(
        Host.objects.none(),
        label="each like the host",
        to_field_name="name",
        required=False,
        empty_label="choose a host",
    )
    guests = forms.IntegerField(label="Add guests", min_value=0, max_value=MOST_GUESTS, required=False, initial=0)
    like_guest = forms.CharField(
        label="each like the guest", max_length=255, required=False, help_text="Name or UUID of a guest."
    )
    ratio = forms.FloatField(
        label="Memory given at most",
        min_value=0.1,
        max_value=4,
        required=False,
        initial=1,
        help_text="Times what hosts have, less 5 % for themselves. 1 gives away no more than there is.",
    )
    cpu_ratio = forms.FloatField(
        label="vCPUs per CPU at most",
        min_value=0.1,
        max_value=64,
        required=False,
        initial=CPU_RATIO,
        help_text="A host with more is crowded, and takes guests last.",
    )

    def __init__(self, data: Any = None, *, user: User) -> None:
        super().__init__(data, auto_id="what-if-%s")
        self._user = user
        hosts = Host.objects.visible_to(user).filter(enabled=True, cpus__gt=0)
        self.fields["like_host"].queryset = hosts.select_related("site").order_by("name")  # type: ignore[attr-defined]

    def clean_like_guest(self) -> Domain | None:
        text = self.cleaned_data["like_guest"].strip()
        if not text:
            return None
        guests = Domain.objects.visible_to(self._user).select_related("host").defer("xml")
        found = list(guests.filter(name=text)[:2]) or _by_uuid(guests, text)
        if not found:
            raise ValidationError(f"There is no guest {text}.")
        if len(found) > 1:
            raise ValidationError("Several guests have this name. Write the UUID of one.")
        return found[0]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for number, like, what in (("hosts", "like_host", "host"), ("guests", "like_guest", "guest")):
            if data.get(number) and not data.get(like) and like not in self.errors:
                self.add_error(like, f"Name a {what} that they are like.")
        return data

    def wish(self) -> Wish:
        data = self.cleaned_data
        return Wish(
            data["hosts"] or 0, data["like_host"], data["guests"] or 0, data["like_guest"], data["ratio"] or 1.0,
            data["cpu_ratio"] or CPU_RATIO,
        )  # fmt: skip


def _by_uuid(guests: Any, text: str) -> list[Domain]:
    try:
        return list(guests.filter(pk=UUID(text)))
    except ValueError:
        return []

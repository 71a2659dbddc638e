"""The forms about hosts. The import reads its rows with the same ones, so there is one set of rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.conf import settings

from hosts.addresses import clean_address, clean_migration_uri, clean_path, clean_username
from hosts.inputs import HostData
from hosts.models import Driver, Host, Tag, Transport
from hosts.selectors import SORT_CHOICES
from hosts.status import Shown
from vmdash.exceptions import InvalidInput

RESERVED_NAMES = frozenset({"add", "credentials"})
"""Pages of their own below `/hosts/`."""

SSH_TRANSPORTS = frozenset({Transport.SSH, Transport.LIBSSH})


def checked(clean: Callable[[str], str], text: str) -> str:
    """`clean(text)` for a form field that may stay empty."""
    try:
        return clean(text) if text else ""
    except InvalidInput as error:
        raise forms.ValidationError(str(error)) from error


class HostForm(forms.Form):
    """One host: what it is called, where it stands, how it is reached."""

    name = forms.CharField(
        max_length=64,
        validators=Host._meta.get_field("name").validators,
        help_text="What people call it. Letters, digits, dot, dash, underscore.",
    )
    site = forms.CharField(
        max_length=60,
        required=False,
        help_text="Where it stands. Choose one, or write a new name.",
        widget=forms.TextInput({"list": "sites", "autocomplete": "off"}),
    )
    tags = forms.CharField(max_length=400, required=False, help_text="Separated by spaces.")
    description = forms.CharField(max_length=500, required=False)
    driver = forms.ChoiceField(choices=Driver.choices, initial=Driver.QEMU, label="Hypervisor")
    transport = forms.ChoiceField(choices=Transport.choices, initial=Transport.SSH, label="Reached over")
    address = forms.CharField(
        max_length=260,
        required=False,
        help_text="Host name or IP address.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )
    port = forms.IntegerField(min_value=1, max_value=65535, required=False, help_text="Empty: the usual one.")
    username = forms.CharField(
        max_length=32, required=False, label="Account", help_text="On the host, for SSH. Empty: as vmdash runs here."
    )
    path = forms.CharField(
        max_length=200,
        required=False,
        help_text="Empty: /system, which is right nearly always.",
        widget=forms.TextInput({"spellcheck": "false"}),
    )
    migration_uri = forms.CharField(
        max_length=300,
        required=False,
        label="Migration URI",
        help_text="Under which the other hosts reach this one to send it guests, such as qemu+tls://kvm2/system. "
        "Empty: as vmdash reaches it.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )
    fast_interval_s = forms.IntegerField(
        min_value=1,
        max_value=3600,
        required=False,
        label="CPU and steal every (s)",
        help_text="Empty: as for all hosts.",
    )
    slow_interval_s = forms.IntegerField(min_value=2, max_value=3600, required=False, label="Everything else every (s)")

    def __init__(self, *args: Any, host: Host | None = None, **kwargs: Any) -> None:
        """`host`: the one that is edited; its own name is not taken."""
        super().__init__(*args, **kwargs)
        self.host = host

    def clean_name(self) -> str:
        name = cast(str, self.cleaned_data["name"])
        if name.lower() in RESERVED_NAMES:
            raise forms.ValidationError(f'No host can be called "{name}": a page of vmdash has this address.')
        others = Host.objects.exclude(pk=self.host.pk) if self.host else Host.objects.all()
        if others.filter(name__iexact=name).exists():
            raise forms.ValidationError(f"There is a host {name} already. Edit that one, or choose another name.")
        return name

    def clean_tags(self) -> tuple[str, ...]:
        names = tuple(sorted(set(self.cleaned_data["tags"].replace(",", " ").split())))
        for name in names:
            for validator in Tag._meta.get_field("name").validators:
                validator(name)
        return names

    def clean_username(self) -> str:
        return checked(clean_username, self.cleaned_data["username"])

    def clean_migration_uri(self) -> str:
        return checked(clean_migration_uri, self.cleaned_data["migration_uri"])

    def clean(self) -> dict[str, Any]:
        found = self.cleaned_data
        driver, transport = found.get("driver"), found.get("transport")
        if transport == Transport.UNIX:
            found.update(address="", port=None, username="")
        elif transport and "address" in found:
            self._clean_into("address", clean_address)
        if transport and transport not in SSH_TRANSPORTS:
            found["username"] = ""
        if driver and "path" in found:
            self._clean_into("path", lambda text: clean_path(text, driver=driver))
        self._check_intervals(found.get("fast_interval_s"), found.get("slow_interval_s"))
        return found

    def _check_intervals(self, own_fast_s: int | None, own_slow_s: int | None) -> None:
        """Where one is not given, the one of all hosts counts."""
        fast_s, slow_s = own_fast_s or settings.FAST_INTERVAL_S, own_slow_s or settings.SLOW_INTERVAL_S
        if (own_fast_s or own_slow_s) and fast_s > slow_s:
            problem = f"The slow round (every {slow_s} s) cannot come more often than the fast one (every {fast_s} s)."
            self.add_error("slow_interval_s" if own_slow_s else "fast_interval_s", problem)

    def _clean_into(self, field: str, clean: Any) -> None:
        if not self.cleaned_data[field] and field == "address":
            self.add_error(field, "Give the host's name or IP address.")
            return
        try:
            self.cleaned_data[field] = clean(self.cleaned_data[field])
        except InvalidInput as error:
            self.add_error(field, str(error))

    def data_of(self) -> HostData:
        """What was entered. Only after `is_valid()`."""
        return HostData(**self.cleaned_data)


class HostFilter(forms.Form):
    """What the list of hosts shows, and in which order; all of it stands in the URL."""

    q = forms.CharField(
        max_length=200,
        required=False,
        label="Name, address or description",
        widget=forms.TextInput({"placeholder": "Name, address or description"}),
    )
    state = forms.ChoiceField(choices=[("", "Any state"), *Shown.choices], required=False)
    site = forms.ChoiceField(required=False)
    tag = forms.ChoiceField(required=False)
    sort = forms.ChoiceField(choices=[(name, name) for name in SORT_CHOICES], required=False)

    def __init__(self, *args: Any, sites: list[str], tags: list[str], **kwargs: Any) -> None:
        """`sites` and `tags`: what there is to choose from."""
        super().__init__(*args, **kwargs)
        for field, any_of_them, names in (("site", "Any site", sites), ("tag", "Any tag", tags)):
            cast(forms.ChoiceField, self.fields[field]).choices = [("", any_of_them), *((name, name) for name in names)]

    def conditions(self) -> dict[str, str]:
        """The arguments of `selectors.host_list`. Only after `is_valid()`."""
        found = self.cleaned_data
        return {
            "text": found["q"],
            "state": found["state"],
            "site": found["site"],
            "tag": found["tag"],
            "sort": found["sort"] or "name",
        }


class RemoveForm(forms.Form):
    """Removing a host takes its name, typed."""

    name = forms.CharField(max_length=64, widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}))

    def __init__(self, *args: Any, host: Host, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.host = host
        self.fields["name"].label = f"Type {host.name} to remove it"

    def clean_name(self) -> str:
        if self.cleaned_data["name"] != self.host.name:
            raise forms.ValidationError(f"This is not {self.host.name}.")
        return self.host.name

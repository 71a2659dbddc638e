"""What people enter about pools."""

from __future__ import annotations

from typing import Any, cast

from django import forms

from storage.pool_pages import SORT_CHOICES
from vmdash.virt.xml.pool import PoolSpec
from vmdash.virt.xml.pool_types import Field, PoolType


class PoolFilter(forms.Form):
    """What the list of pools shows, and in which order; all of it stands in the URL."""

    q = forms.CharField(
        max_length=200,
        required=False,
        label="Name, path or source",
        widget=forms.TextInput({"placeholder": "Name, path or source"}),
    )
    host = forms.ChoiceField(required=False)
    type = forms.ChoiceField(required=False)
    sort = forms.ChoiceField(choices=[(name, name) for name in SORT_CHOICES], required=False)

    def __init__(self, *args: Any, hosts: list[str], types: list[str], **kwargs: Any) -> None:
        """`hosts` and `types`: what there is to choose from."""
        super().__init__(*args, **kwargs)
        for field, any_of_them, names in (("host", "Any host", hosts), ("type", "Any type", types)):
            cast(forms.ChoiceField, self.fields[field]).choices = [("", any_of_them), *((name, name) for name in names)]

    def conditions(self) -> dict[str, str]:
        """The arguments of `pool_pages.pool_groups`. Only after `is_valid()`."""
        found = self.cleaned_data
        return {
            "text": found["q"],
            "host": found["host"],
            "type": found["type"],
            "sort": found["sort"] or "name",
        }


_TEXT = {"autocomplete": "off", "spellcheck": "false"}
_WORDS: dict[Field, tuple[str, str]] = {
    Field.PATH: ("Path on the host", "Where the host has it, or mounts it: /srv/vms"),
    Field.HOSTS: ("Server", "A name or an address, with :PORT where that is not the usual one."),
    Field.FOLDER: ("Folder on the server", "The export: /export/vms"),
    Field.DEVICES: ("Device", "Its path on the host: /dev/disk/by-id/…"),
    Field.SOURCE_NAME: ("Name", ""),
    Field.FORMAT: ("Format", "Empty: libvirt finds out, or takes its default."),
    Field.ADAPTER: ("Adapter", "Its name, such as host3; or WWNN, WWPN of a virtual Fibre Channel adapter."),
    Field.INITIATOR: ("Initiator", "The name that the host logs in with: iqn.2026-11.org.example:kvm1"),
    Field.USERNAME: ("User name", "Empty: the server asks for none."),
    Field.SECRET: ("Secret", "UUID of a secret that the host has (virsh secret-list)."),
}
_TYPE_WORDS: dict[tuple[str, Field], tuple[str, str]] = {
    ("logical", Field.SOURCE_NAME): ("Volume group", "Its name: vg0"),
    ("rbd", Field.SOURCE_NAME): ("Pool", "The pool's name in the cluster, or POOL/NAMESPACE."),
    ("gluster", Field.SOURCE_NAME): ("Volume", "The name of the GlusterFS volume."),
    ("zfs", Field.SOURCE_NAME): ("zpool or dataset", "Its name: tank/vms"),
    ("vstorage", Field.SOURCE_NAME): ("Cluster", "The name of the cluster."),
    ("rbd", Field.HOSTS): ("Monitors", "Names or addresses, by spaces, each with :PORT where needed."),
    ("gluster", Field.HOSTS): ("Servers", "Names or addresses, by spaces."),
    ("iscsi", Field.DEVICES): ("Target", "Its name on the server: iqn.2026-11.org.example:vms"),
    ("iscsi-direct", Field.DEVICES): ("Target", "Its name on the server: iqn.2026-11.org.example:vms"),
    ("logical", Field.DEVICES): ("Devices", "Only to build the group: their paths, by spaces."),
    ("zfs", Field.DEVICES): ("Devices", "Only to build the zpool: their paths, by spaces."),
    ("gluster", Field.FOLDER): ("Folder", "Inside of the volume; empty: all of it."),
}


class PoolForm(forms.Form):
    """A new pool of one type, with the fields that the type has."""

    host = forms.ChoiceField(label="Host")
    name = forms.CharField(max_length=200, label="Name of the pool", widget=forms.TextInput(_TEXT))

    def __init__(self, *args: Any, kind: PoolType, hosts: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kind = kind
        cast(forms.ChoiceField, self.fields["host"]).choices = hosts
        for field in kind.fields:
            self.fields[field.value] = self._field(field)
        if kind.builds:
            words = "Makes the folder, file system or volume group. Refused where a device holds something already."
            self.fields["build"] = forms.BooleanField(required=False, label="Build it", help_text=words)
        self.fields["start"] = forms.BooleanField(required=False, initial=True, label="Start it")
        self.fields["autostart"] = forms.BooleanField(required=False, initial=True, label="Start it with its host")

    def _field(self, field: Field) -> forms.Field:
        label, words = _TYPE_WORDS.get((self.kind.key, field), _WORDS[field])
        if field is Field.FORMAT:
            choices = [("", "–"), *((one, one) for one in self.kind.formats)]
            return forms.ChoiceField(choices=choices, required=False, label=label, help_text=words)
        required = field in self.kind.needs
        initial = self.kind.default_path if field is Field.PATH else ""
        return forms.CharField(
            max_length=1000,
            required=required,
            label=label if required else f"{label} (optional)",
            help_text=words,
            initial=initial,
            widget=forms.TextInput(_TEXT),
        )

    def own_fields(self) -> list[forms.BoundField]:
        """Those that the type has."""
        return [self[field.value] for field in self.kind.fields]

    def options(self) -> list[forms.BoundField]:
        return [self[name] for name in ("build", "start", "autostart") if name in self.fields]

    def spec(self) -> PoolSpec:
        """Only after `is_valid()`."""
        data = self.cleaned_data
        given: dict[str, Any] = {field.value: data[field.value] for field in self.kind.fields if data[field.value]}
        for several in (Field.HOSTS, Field.DEVICES):
            if text := given.get(several):
                given[several] = tuple(text.replace(",", " ").split())
        return PoolSpec(name=data["name"], type=self.kind.key, **given)

    def asked(self) -> dict[str, bool]:
        """What shall follow the definition."""
        return {name: bool(self.cleaned_data.get(name)) for name in ("build", "start", "autostart")}

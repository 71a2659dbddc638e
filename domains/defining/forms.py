"""What people say of a new guest. Choices are those of one host."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django import forms

from domains.defining.wish import VolumeNamed, Wish
from hosts.models import Host
from storage.models import Pool, Volume
from storage.volume_forms import SizeField
from vmdash import formats

if TYPE_CHECKING:
    from vmdash.access.models import User

NEW, NONE = "new", ""
_NAME = re.compile(r"[^/\x00-\x1f\x7f\s][^/\x00-\x1f\x7f]*\Z")
_MIB = 1 << 20


class NewGuestForm(forms.Form):
    """`wish()` after it is valid."""

    name = forms.CharField(max_length=80, widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}))
    title = forms.CharField(max_length=200, required=False, help_text="What it is for, in a few words.")
    vcpus = forms.IntegerField(min_value=1, max_value=512, initial=1, label="vCPUs")
    memory = SizeField(initial="1 GiB")
    disk = forms.ChoiceField(required=False, label="Disk")
    pool = forms.ChoiceField(required=False, label="Pool of a new disk")
    size = SizeField(required=False, initial="10 GiB", label="Size of a new disk")
    medium = forms.ChoiceField(required=False, label="Installation medium")
    network = forms.ChoiceField(required=False)
    firmware = forms.ChoiceField(choices=[("bios", "BIOS"), ("efi", "UEFI")], initial="bios")
    start = forms.BooleanField(required=False, initial=True, label="Start it afterwards")

    def __init__(self, data: Any = None, *, host: Host, user: User, **options: Any) -> None:
        super().__init__(data, **options)
        self._host = host
        pools = list(Pool.objects.visible_to(user).filter(host=host, state=Pool.State.RUNNING).order_by("name"))
        volumes = list(
            Volume.objects.visible_to(user).filter(pool__in=pools).select_related("pool").order_by("pool__name", "name")
        )
        media = [volume for volume in volumes if volume.is_medium]
        disks = [volume for volume in volumes if volume.is_disk and not volume.is_medium]
        choices = {
            "disk": [(NEW, "a new one, empty"), (NONE, "none"), *map(_choice, disks)],
            "pool": [(pool.name, f"{pool.name} ({formats.size(pool.available_bytes)} free)") for pool in pools],
            "medium": [(NONE, "none"), *map(_choice, media)],
            "network": [
                *((one["name"], one["name"] + ("" if one["active"] else " (stopped)")) for one in host.networks),
                (NONE, "none"),
            ],
        }
        for name, found in choices.items():
            self.fields[name].choices = found  # type: ignore[attr-defined]  # each is a ChoiceField

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not _NAME.match(name):
            raise forms.ValidationError("A name has no slashes and no control characters.")
        return name

    def clean_memory(self) -> int:
        memory: int = self.cleaned_data["memory"]
        if memory < 16 * _MIB:
            raise forms.ValidationError("A guest needs at least 16 MiB.")
        return memory

    def clean(self) -> dict[str, Any]:
        found = self.cleaned_data
        if found.get("disk") == NEW and "size" in found and "pool" in found:
            if not found["pool"]:
                self.add_error("pool", "A new disk needs a pool that is active.")
            if found["size"] < _MIB:
                self.add_error("size", "A new disk needs a size of at least 1 MiB.")
        return found

    def wish(self) -> Wish:
        found = self.cleaned_data
        return Wish(
            name=found["name"],
            title=found["title"],
            vcpus=found["vcpus"],
            memory_bytes=found["memory"],
            disk=self._disk(),
            medium=_named(found["medium"]),
            network=found["network"],
            efi=found["firmware"] == "efi",
            start=found["start"],
        )

    def _disk(self) -> VolumeNamed | None:
        found = self.cleaned_data
        if found["disk"] != NEW:
            return _named(found["disk"])
        return VolumeNamed(found["pool"], f"{found['name']}.qcow2", found["size"])


def volume_value(volume: Volume) -> str:
    """How a volume is written in the choices."""
    return f"{volume.pool.name}/{volume.name}"


def _named(value: str) -> VolumeNamed | None:
    pool, _, name = value.partition("/")
    return VolumeNamed(pool, name) if name else None


def _choice(volume: Volume) -> tuple[str, str]:
    return volume_value(volume), f"{volume.name} in {volume.pool.name} ({formats.size(volume.capacity_bytes)})"

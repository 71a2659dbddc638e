"""What people send about volumes and images."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.db.models import QuerySet

from storage.models import Image, ImageCopy, Pool, Volume
from storage.volume_services import FORMATS
from vmdash import formats
from vmdash.access.models import User
from vmdash.access.roles import Permission
from vmdash.virt.xml.volume import WipeAlgorithm

_SIZE = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*(?:([kmgtp])(?:i?b)?|b|bytes)?\s*\Z", re.IGNORECASE)
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


class SizeField(forms.CharField):
    """ "20 GiB" in bytes; units are binary, whichever way they are written."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=30, **{"help_text": "Such as 20 GiB or 512 MiB.", **options})

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return 0
        match = _SIZE.match(text)
        if not match:
            raise forms.ValidationError("Write a size such as 20 GiB.")
        number, unit = float(match[1].replace(",", ".")), (match[2] or "").lower()
        size = round(number * 1024 ** _POWERS.get(unit, 0))
        if size >= 1 << 62:
            raise forms.ValidationError("That is too much.")
        return size


class CreateForm(forms.Form):
    name = forms.CharField(max_length=255)
    capacity_bytes = SizeField(label="Size")
    format = forms.ChoiceField(choices=[(name, name) for name in FORMATS])
    preallocated = forms.BooleanField(
        required=False, label="Take all its space at once", help_text="Otherwise it grows as it is written to."
    )
    backing = forms.CharField(
        required=False,
        max_length=1000,
        label="Stands on",
        help_text="Path of an image or volume of this host, whose content it shows; it keeps what changes. Or empty.",
        widget=forms.TextInput(attrs={"list": "bases", "spellcheck": "false"}),
    )
    passphrase = forms.CharField(
        required=False,
        max_length=200,
        label="Encrypt it with the passphrase",
        help_text="LUKS. It is stored encrypted and never shown again: keep it elsewhere, too.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *arguments: Any, pool: Pool, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._pool = pool

    def clean_backing(self) -> Volume | None:
        path = self.cleaned_data["backing"].strip()
        if not path:
            return None
        volume = Volume.objects.select_related("pool__host").filter(pool__host=self._pool.host, path=path).first()
        if volume is None:
            raise forms.ValidationError("No pool of this host has a volume at that path.")
        return volume

    def bases(self) -> list[ImageCopy]:
        """Images of the library that are on this host."""
        copies = ImageCopy.objects.filter(pool__host=self._pool.host, image__kind=Image.Kind.DISK)
        return list(copies.exclude(state=ImageCopy.State.BAD).select_related("image", "pool"))


def _active(user: User) -> QuerySet[Pool]:
    """The pools to which this person may write now."""
    pools = Pool.objects.open_to(user, Permission.STORAGE).select_related("host")
    return pools.filter(state__in=[Pool.State.RUNNING, Pool.State.DEGRADED])


def _pool_words(obj: Pool) -> str:
    return f"{obj.name}, {formats.size(obj.available_bytes)} free"


class CloneForm(forms.Form):
    name = forms.CharField(max_length=255)
    pool = forms.ModelChoiceField(queryset=Pool.objects.none(), label="Into pool", empty_label=None)
    format = forms.ChoiceField(choices=[(name, name) for name in FORMATS])
    capacity_bytes = SizeField(label="Size", required=False, help_text="Empty: that of the source.")

    def __init__(self, *arguments: Any, source: Volume, **options: Any) -> None:
        super().__init__(*arguments, **options)
        field = self.fields["pool"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101  (for mypy)
        field.queryset = Pool.objects.filter(host=source.pool.host).order_by("name")
        field.label_from_instance = _pool_words  # type: ignore[method-assign]


class ResizeForm(forms.Form):
    capacity_bytes = SizeField(label="New size")
    shrink = forms.BooleanField(
        required=False,
        label="It may get smaller",
        help_text="What is behind its new end is lost. Shrink the file system in it first.",
    )


class DeleteForm(forms.Form):
    confirm = forms.CharField(max_length=255, label="Type the name of the volume", strip=False)


class WipeForm(DeleteForm):
    algorithm = forms.ChoiceField(
        label="Overwrite it with",
        choices=[
            (WipeAlgorithm.ZERO.value, "zeros"),
            (WipeAlgorithm.RANDOM.value, "random data"),
            (WipeAlgorithm.TRIM.value, "nothing: give it back to the device (TRIM)"),
        ],
    )


class UploadForm(forms.Form):
    """The file itself goes to the transfer gateway; a script fills in what it is."""

    name = forms.CharField(max_length=255, label="Name of the volume", required=False)
    sha256 = forms.CharField(
        required=False,
        max_length=80,
        label="SHA-256 that it should have",
        help_text="Or empty. It is computed in any case and shown in the job.",
    )
    size_bytes = forms.IntegerField(min_value=1, max_value=1 << 62, widget=forms.HiddenInput())
    file_name = forms.CharField(max_length=255, widget=forms.HiddenInput())

    def clean(self) -> dict[str, Any]:
        """The volume is called as the file, unless told otherwise."""
        cleaned = super().clean() or self.cleaned_data
        cleaned["name"] = cleaned.get("name") or cleaned.get("file_name", "")
        return cleaned


class ImageForm(forms.Form):
    """A volume for the library."""

    name = forms.CharField(max_length=100, label="Name in the library")
    kind = forms.ChoiceField(choices=Image.Kind.choices)
    description = forms.CharField(max_length=500, required=False)


class ImageUploadForm(UploadForm):
    image_name = forms.CharField(max_length=100, label="Name in the library")
    kind = forms.ChoiceField(choices=Image.Kind.choices)
    pool = forms.ModelChoiceField(queryset=Pool.objects.none(), label="Into pool", empty_label=None)

    field_order = ("image_name", "kind", "pool", "name", "sha256", "size_bytes", "file_name")

    def __init__(self, *arguments: Any, user: User, **options: Any) -> None:
        super().__init__(*arguments, **options)
        field = self.fields["pool"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101  (for mypy)
        field.queryset = _active(user)

    def wishes(self) -> dict[str, Any]:
        """For `storage.images.upload`."""
        sent = self.cleaned_data
        has_qcow2 = sent["file_name"].lower().endswith((".qcow2", ".qcow"))
        return {
            "name": sent["image_name"],
            "kind": sent["kind"],
            "format": "iso" if sent["kind"] == Image.Kind.ISO else "qcow2" if has_qcow2 else "raw",
            "pool": sent["pool"],
            "file_name": sent["name"],
            "size_bytes": sent["size_bytes"],
            "sha256": sent["sha256"],
        }


class CopyForm(forms.Form):
    pool = forms.ModelChoiceField(queryset=Pool.objects.none(), label="Copy to", empty_label=None)

    def __init__(self, *arguments: Any, image: Image, user: User, **options: Any) -> None:
        super().__init__(*arguments, **options)
        field = self.fields["pool"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101  (for mypy)
        field.queryset = _active(user).exclude(image_copies__image=image)

    @property
    def has_choices(self) -> bool:
        """Whether there is a pool to which this person may copy it."""
        return any(True for _ in self.fields["pool"].choices)  # type: ignore[attr-defined]

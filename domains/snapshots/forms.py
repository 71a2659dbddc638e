"""What people send about snapshots. What is possible is decided by `choices`, whatever the form let them choose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms

from domains.models import Domain
from domains.snapshots import choices
from domains.snapshots.models import Snapshot, SnapshotKind
from domains.snapshots.services import AFTERWARDS, AS_IT_WAS

MIB = 1024 * 1024
MOST_MIB_S = 100_000
KIND_WORDS = {
    SnapshotKind.DISKS: "Taken in a moment, while the guest runs. What it writes from then on goes to new files, and "
    "the images stay as they are. Back at it, the guest boots anew.",
    SnapshotKind.FILES: "The guest runs on while its memory is written to a file, which takes as long as its memory is "
    "large. Back at it, the guest goes on in the middle of what it did.",
    SnapshotKind.INTERNAL: "No new files. The guest is paused while its memory is written; its images grow, and get "
    "slower with many of them.",
}


@dataclass(frozen=True, slots=True)
class KindChoice:
    """A kind of snapshot to choose; `reason` is why it cannot be taken now."""

    value: str
    label: str
    words: str
    reason: str
    checked: bool


def _plain_line(text: str) -> str:
    if not text.isprintable():
        raise forms.ValidationError("Write one line of plain text.")
    return text


class TakeForm(forms.Form):
    """A snapshot to be taken of a guest."""

    kind = forms.ChoiceField(choices=SnapshotKind.choices, widget=forms.RadioSelect)
    note = forms.CharField(
        max_length=500,
        required=False,
        help_text="Why you take it. Its beginning becomes part of the name.",
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    quiesce = forms.BooleanField(required=False, label="Freeze the file systems meanwhile")

    def __init__(self, domain: Domain, data: Any = None) -> None:
        self.reasons = choices.kinds(domain)
        self.why_not_quiesce = choices.why_not_quiesce(domain)
        first = next((kind for kind, reason in self.reasons.items() if not reason), SnapshotKind.DISKS)
        super().__init__(data, initial={"kind": first, "quiesce": not self.why_not_quiesce})
        field = self.fields["quiesce"]
        field.help_text = self.why_not_quiesce or (
            "The guest agent does so for a moment, so that nothing is half written. For “disks only”."
        )
        if self.why_not_quiesce:
            field.widget.attrs["disabled"] = True

    def clean_note(self) -> str:
        return _plain_line(self.cleaned_data["note"])

    @property
    def kinds(self) -> Iterator[KindChoice]:
        for kind, reason in self.reasons.items():
            checked = self["kind"].value() == kind.value
            yield KindChoice(kind.value, kind.label, KIND_WORDS[kind], reason, checked)

    @property
    def asks_to_quiesce(self) -> bool:
        """Where it cannot be chosen it is tried all the same: then the snapshot tells why it was not."""
        return bool(self.why_not_quiesce) or self.cleaned_data["quiesce"]


class RevertForm(forms.Form):
    """How a guest is put back."""

    afterwards = forms.ChoiceField(
        choices=list(AFTERWARDS.items()), initial=AS_IT_WAS, label="Afterwards the guest is", required=False
    )
    first = forms.BooleanField(
        required=False,
        label="Keep what it is now as a snapshot first",
        help_text="So that you can come back.",
    )
    keep = forms.BooleanField(
        required=False,
        label="Keep the files with what was written since",
        help_text="They stay beside the images; nothing uses them any more.",
    )
    confirm = forms.CharField(
        required=False,
        max_length=255,
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}),
    )

    def __init__(self, domain: Domain, snapshot: Snapshot, data: Any = None) -> None:
        super().__init__(data)
        self.fields["confirm"].label = f"To go on, type the name of the guest: {domain.name}"
        if not snapshot.external:
            del self.fields["keep"]


class DeleteForm(forms.Form):
    """How a snapshot is deleted."""

    forget = forms.BooleanField(
        required=False,
        label="Only forget it, and keep its files",
        help_text="Nothing is merged and no file is touched: it is only not listed as a snapshot any more. For files "
        "that something else needs.",
    )
    most_mib_s = forms.IntegerField(
        min_value=1,
        max_value=MOST_MIB_S,
        required=False,
        label="No faster than, MiB/s",
        help_text="So that the guest's disks stay quick meanwhile. Empty: as fast as it can.",
    )

    def __init__(self, domain: Domain, snapshot: Snapshot, data: Any = None) -> None:
        super().__init__(data)
        if not snapshot.external:
            del self.fields["forget"]
        if not snapshot.external or choices.is_off(domain):
            del self.fields["most_mib_s"]

    @property
    def most_bytes_per_s(self) -> int:
        return MIB * (self.cleaned_data.get("most_mib_s") or 0)


class FlattenForm(forms.Form):
    """How fast the disks are filled."""

    most_mib_s = forms.IntegerField(
        min_value=1,
        max_value=MOST_MIB_S,
        required=False,
        label="No faster than, MiB/s",
        help_text="So that the guest's disks stay quick meanwhile. Empty: as fast as it can.",
    )

    @property
    def most_bytes_per_s(self) -> int:
        return MIB * (self.cleaned_data.get("most_mib_s") or 0)

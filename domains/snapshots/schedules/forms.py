"""What people send about schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.db.models import QuerySet

from domains.naming import shortest_name, the_guest
from domains.snapshots.models import SnapshotSchedule
from hosts.models import Tag
from vmdash.access.reach import Scope, reach_of
from vmdash.access.roles import Permission, can, can_everywhere
from vmdash.exceptions import InvalidInput

if TYPE_CHECKING:
    from vmdash.access.models import User

    ModelForm = forms.ModelForm[SnapshotSchedule]
else:
    ModelForm = forms.ModelForm

KEEPS = ("keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly")


def tags_for(user: User) -> QuerySet[Tag]:
    """Those to choose from: of whose guests `user` may take snapshots."""
    if can_everywhere(user, Permission.SNAPSHOT):
        return Tag.objects.all()
    return Tag.objects.filter(pk__in=reach_of(user).ids(Permission.SNAPSHOT, Scope.TAG))


class ScheduleForm(ModelForm):
    """A schedule for one guest, or for all that have a tag."""

    guest = forms.CharField(
        required=False,
        max_length=255,
        help_text="Its name, or its UUID.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )

    class Meta:
        model = SnapshotSchedule
        fields = ["name", "guest", "tag", "kind", "quiesce", "every", "at", "weekday", *KEEPS]
        labels = {
            "tag": "Or all guests with the tag",
            "quiesce": "Freeze the file systems where the guest agent answers",
            "at": "At",
            "weekday": "On",
            "keep_last": "The last",
            "keep_hourly": "Hourly",
            "keep_daily": "Daily",
            "keep_weekly": "Weekly",
            "keep_monthly": "Monthly",
        }
        help_texts = {
            "name": "The snapshots are called after it.",
            "tag": "Also those that get it later. Templates are left out.",
            "kind": "Of a guest that is off, “whole machine” means its disks.",
            "at": "HH:MM. Every hour: only the minute counts.",
            "weekday": "Every week.",
        }
        widgets = {"at": forms.TimeInput({"type": "time"}, format="%H:%M")}

    def __init__(self, user: User, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.user = user
        cast("forms.ModelChoiceField[Tag]", self.fields["tag"]).queryset = tags_for(user)
        if self.instance.pk and self.instance.domain:
            self.initial["guest"] = shortest_name(self.instance.domain)
        for field in self.fields.values():
            field.required = isinstance(field, forms.IntegerField | forms.TimeField) or field.required

    @property
    def keeps(self) -> list[forms.BoundField]:
        return [self[name] for name in KEEPS]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise forms.ValidationError("Write one line of plain text.")
        return name

    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        text, tag = found.get("guest", ""), found.get("tag")
        self.instance.domain = None
        if text and tag:
            self.add_error("guest", "Choose one guest or a tag, not both.")
        elif text:
            self._find_guest(text)
        elif "tag" in found and "guest" in found and not tag:
            self.add_error("guest", "Name a guest, or choose a tag.")
        if all(name in found for name in KEEPS) and not any(found[name] for name in KEEPS):
            self.add_error("keep_last", "Keep at least one: otherwise each snapshot would be deleted at once.")
        return found

    def _find_guest(self, text: str) -> None:
        try:
            guest = the_guest(self.user, text)
        except InvalidInput as error:
            self.add_error("guest", str(error))
            return
        if can(self.user, Permission.SNAPSHOT, guest):
            self.instance.domain = guest
        else:
            self.add_error("guest", f"You may not {Permission.SNAPSHOT.label} of this guest.")

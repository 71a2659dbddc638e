"""Forms about people, groups and grants."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import Group

from vmdash.access.fields import moment_field
from vmdash.access.models import User
from vmdash.access.people import SORTS
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.exceptions import InvalidInput
from vmdash.main.people import targets

_NO_ROLE = ("", "None: their grants alone count")
_ROLES = [_NO_ROLE, *((role.value, f"{role.label} on everything") for role in Role)]


def _written(label: str, most: int, *, listed: str = "", **more: Any) -> forms.CharField:
    """A name that is written, or chosen from the list with that id."""
    attrs = {"autocomplete": "off", "spellcheck": "false", **({"list": listed} if listed else {})}
    return forms.CharField(label=label, max_length=most, widget=forms.TextInput(attrs), **more)


class PeopleSearch(forms.Form):
    q = forms.CharField(
        required=False,
        max_length=150,
        label="Name, mail or group",
        widget=forms.TextInput({"type": "search", "placeholder": "Name, mail or group", "spellcheck": "false"}),
    )
    state = forms.ChoiceField(
        required=False, label="State", choices=[("", "All people"), ("on", "Active"), ("off", "Switched off")]
    )
    sort = forms.ChoiceField(required=False, choices=[(sort, sort) for sort in SORTS], widget=forms.HiddenInput)


class PersonForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    role = forms.ChoiceField(
        required=False,
        choices=_ROLES,
        help_text="Roles in some places, for groups, or with an end are granted afterwards.",
    )

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name", "email", "role")
        labels = {"username": "Name", "email": "Mail"}
        help_texts = {"username": "What they sign in with. Letters, digits and @ . + - _."}


class RoleForm(forms.Form):
    role = forms.ChoiceField(required=False, choices=_ROLES, label="Role of the account")


class GroupForm(forms.Form):
    name = forms.CharField(max_length=150, label="Name of the group")


class MemberForm(forms.Form):
    """`clean` finds the person."""

    person = _written("Name of the person", 150, listed="known-people")

    def clean_person(self) -> User:
        return named_person(self.cleaned_data["person"])


def named_person(name: str) -> User:
    person = User.objects.filter(username=name).first()
    if person is None:
        raise forms.ValidationError("There is nobody of this name.")
    return person


class GrantForm(forms.Form):
    """To whom, which role, on what, until when. Valid, it has `to` and `thing` (None: everything)."""

    person = _written("Person", 150, listed="known-people", required=False, help_text="Their name.")
    group = _written("or group", 150, listed="known-groups", required=False)
    role = forms.TypedChoiceField(choices=Role.choices, coerce=Role)
    scope = forms.TypedChoiceField(
        choices=[(scope.value, scope.label.capitalize()) for scope in Scope], coerce=Scope, label="On"
    )
    thing = _written(
        "Which one",
        255,
        listed="known-things",
        required=False,
        help_text="The name of the site, host, tag or guest, or the guest's UUID. Empty for everything.",
    )
    until = moment_field("Until", help_text="Empty: until somebody ends it.")

    def __init__(self, user: User, *args: Any, to: User | Group | None = None, **kwargs: Any) -> None:
        """`to`: nobody else is asked for."""
        super().__init__(*args, **kwargs)
        self.user = user
        if to is not None:
            name, value = ("group", to.name) if isinstance(to, Group) else ("person", to.username)
            self.fields[name].initial = value
            for field in ("person", "group"):
                self.fields[field].widget = forms.HiddenInput()

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        cleaned["to"] = self._holder(cleaned.get("person", ""), cleaned.get("group", ""))
        if "scope" in cleaned and "thing" in cleaned:
            try:
                cleaned["thing"] = targets.find(self.user, cleaned["scope"], cleaned["thing"])
            except InvalidInput as error:
                self.add_error("thing", str(error))
        return cleaned

    def _holder(self, person: str, group: str) -> User | Group | None:
        if bool(person) == bool(group):
            self.add_error("person", "Name a person or a group.")
            return None
        if person:
            try:
                return named_person(person)
            except forms.ValidationError as error:
                self.add_error("person", error)
                return None
        found = Group.objects.filter(name=group).first()
        if found is None:
            self.add_error("group", "There is no group of this name.")
        return found


class QuestionForm(forms.Form):
    """What could this person do to that? `thing` is found as in `GrantForm`."""

    person = _written("Person", 150, listed="known-people")
    kind = forms.ChoiceField(
        label="On", choices=[*((scope.value, scope.label.capitalize()) for scope in Scope), (targets.POOL, "Pool")]
    )
    thing = _written("Which one", 320, listed="known-things", required=False)

    def __init__(self, user: User, known: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user, self.known = user, known

    def clean_person(self) -> User:
        found: User | None = self.known.filter(username=self.cleaned_data["person"]).first()
        if found is None:
            raise forms.ValidationError("There is nobody of this name whose grants you may see.")
        return found

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        if "kind" in cleaned and "thing" in cleaned:
            try:
                cleaned["thing"] = targets.find(self.user, cleaned["kind"], cleaned["thing"])
            except InvalidInput as error:
                self.add_error("thing", str(error))
        return cleaned

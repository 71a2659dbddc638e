"""The form of a webhook, for its page and for scripts: where it is, what it is told, and about what."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django import forms

from domains.models import Domain
from domains.naming import the_guest
from hosts.models import Host, Site, Tag
from vmdash.access.models import User
from vmdash.access.reach import Scope
from vmdash.exceptions import InvalidInput
from vmdash.severity import Severity
from vmdash.webhooks import outgoing
from vmdash.webhooks.models import Topic, Webhook
from vmdash.webhooks.services import Choice

_SCOPES = [
    (Scope.EVERYTHING.value, "everything that I may see"),
    *(one for one in Scope.choices if one[0] != "everything"),
]


class WebhookForm(forms.Form):
    """What somebody may choose is what they may see."""

    name = forms.CharField(max_length=80)
    url = forms.CharField(
        max_length=500, label="URL", help_text="Such as https://chat.example.org/hook. It gets a POST for each event."
    )
    topics = forms.MultipleChoiceField(
        choices=Topic.choices, widget=forms.CheckboxSelectMultiple, label="Told of", initial=[Topic.ALERT.value]
    )
    least = forms.ChoiceField(choices=Severity.choices, initial=Severity.WARNING, label="Alerts from severity")
    scope = forms.ChoiceField(choices=_SCOPES, initial=Scope.EVERYTHING, label="About")
    which = forms.CharField(
        required=False,
        max_length=255,
        help_text="The name of the site, host, tag or guest; of a guest also its UUID. Empty for everything.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, user: User, *args: Any, webhook: Webhook | None = None, **options: Any) -> None:
        if webhook:
            options["initial"] = {name: getattr(webhook, name) for name in ("name", "url", "topics", "least", "scope")}
            options["initial"]["which"] = webhook.scope_id if webhook.scope == Scope.GUEST else webhook.scope_name
        super().__init__(*args, **options)
        self.user = user

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise forms.ValidationError("Write one line of plain text.")
        return name

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            check_url(url)
        except InvalidInput as error:
            raise forms.ValidationError(str(error)) from error
        return url

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or self.cleaned_data
        scope, which = found.get("scope"), found.get("which", "")
        self.place: tuple[str, str, str] = (Scope.EVERYTHING.value, "", "")
        if scope == Scope.EVERYTHING and which:
            self.add_error("which", "Choose what this is: a site, a host, a tag or a guest.")
        elif scope and scope != Scope.EVERYTHING:
            try:
                self.place = (scope, *_find(self.user, Scope(scope), which))
            except InvalidInput as error:
                self.add_error("which", str(error))
        return found

    @property
    def choice(self) -> Choice:
        scope, scope_id, scope_name = self.place
        return Choice(
            name=self.cleaned_data["name"],
            url=self.cleaned_data["url"],
            topics=self.cleaned_data["topics"],
            least=self.cleaned_data["least"],
            scope=(Scope(scope), scope_id),
            scope_name=scope_name,
        )


def _find(user: User, scope: Scope, name: str) -> tuple[str, str]:
    """The id and name of what is called so among what `user` may see. Raises InvalidInput."""
    if not name:
        raise InvalidInput(f"Write which {scope.label}.")
    found: Site | Host | Tag | Domain | None
    if scope == Scope.GUEST:
        found = the_guest(user, name)
    elif scope == Scope.HOST:
        found = Host.objects.visible_to(user).filter(name=name).first()
    elif scope == Scope.SITE:
        found = Site.objects.filter(name=name, hosts__in=Host.objects.visible_to(user)).first()
    else:
        on_hosts = Tag.objects.filter(name=name, hosts__in=Host.objects.visible_to(user))
        found = on_hosts.first() or Tag.objects.filter(name=name, domains__in=Domain.objects.visible_to(user)).first()
    if found is None:
        raise InvalidInput(f"There is no such {scope.label}.")
    return str(found.pk), found.name


def check_url(url: str) -> None:
    """What can be said without asking the name service; the rest is checked whenever something is sent.

    Raises:
        InvalidInput: no webhook can be there.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or any(letter.isspace() or not letter.isprintable() for letter in url):
        raise InvalidInput("Write an http or https URL, such as https://chat.example.org/hook.")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("Write it without a user name and password: the signature says who sends.")
    try:
        address = ip_address(parts.hostname or "")
    except ValueError:
        return  # a name
    try:
        outgoing.check(address)
    except outgoing.AddressRefused as error:
        raise InvalidInput(error.message, hint=error.hint) from error

"""The page on which a host is added or edited: the host, and what opens it, as one form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from hosts import onboarding, services
from hosts.credential_forms import CREDENTIAL_KINDS, CredentialChoice, CredentialForm
from hosts.forms import HostForm
from hosts.models import Credential, Host, Transport
from vmdash.access.models import User
from vmdash.access.roles import Permission, can_everywhere
from vmdash.jobs.models import Job


class HostEntry:
    """`HostForm`, `CredentialChoice` and `CredentialForm` of one page. `data` is what was posted, if anything was."""

    def __init__(self, data: Mapping[str, Any] | None = None, *, user: User, host: Host | None = None) -> None:
        self.host = host
        self.user = user
        self.host_form = HostForm(data, host=host, initial=initial_values(host) if host else {})
        self.choice = CredentialChoice(
            data, among=credentials_for(user), initial={"credential": host.credential_id if host else ""}
        )
        transport = (data or {}).get("transport", "")
        self.kind = CREDENTIAL_KINDS[Transport(transport)] if transport in CREDENTIAL_KINDS else ""
        chosen = (data or {}).get("credential", "")
        self.is_new = bool(self.kind) and chosen in (CredentialChoice.NEW, CredentialChoice.GENERATE)
        self.is_generated = self.is_new and chosen == CredentialChoice.GENERATE
        self.credential_form = CredentialForm(
            _with_name(data, self.kind) if self.is_new else None,
            prefix="new",
            kind=self.kind or Credential.Kind.SSH_KEY,
            generate=self.is_generated,
        )
        self.credential_form.fields["name"].help_text = "To choose it for other hosts. Empty: named after this one."

    def is_valid(self) -> bool:
        """Checks all of it, so that every mistake is shown at once."""
        valid = [self.host_form.is_valid(), self.choice.is_valid()]
        if self.is_new:
            valid.append(self.credential_form.is_valid())
        if self.choice.is_valid():
            valid.append(self._choice_fits())
        return all(valid)

    def _choice_fits(self) -> bool:
        stored = self._stored()
        if self.is_generated and self.kind != Credential.Kind.SSH_KEY:
            self.choice.add_error("credential", "Only SSH takes a generated key.")
        elif stored and stored.kind != self.kind and self.kind:
            self.choice.add_error("credential", f"This transport takes {Credential.Kind(self.kind).label}.")
        return not self.choice.errors

    def _stored(self) -> Credential | None:
        chosen = self.choice.cleaned_data["credential"]
        return Credential.objects.filter(pk=chosen).first() if chosen.isdigit() and self.kind else None

    @transaction.atomic
    def save(self, user: User) -> tuple[Host, bool]:
        """The host, and whether the way to reach it is new. Only after `is_valid()`.

        Raises:
            Conflict: the host's or credential's name was taken meanwhile.
        """
        credential = (
            services.add_credential(user=user, data=self.credential_form.data_of()) if self.is_new else self._stored()
        )
        data = self.host_form.data_of()
        if self.host is None:
            return services.add_host(user=user, data=data, credential=credential), True
        return self.host, services.change_host(user=user, host=self.host, data=data, credential=credential)

    def follow(self, host: Host, *, reached_anew: bool, anyway: bool) -> Job | None:
        """After `save`: the test that was asked for, if one was. The host is enabled when it passes; `anyway`: at once
        and without a test."""
        if anyway:
            services.set_enabled(user=self.user, host=host, enabled=True, detail="Without a test")
            return None
        if not reached_anew or self.is_generated:  # a new key has to be installed on the host first
            return None
        return onboarding.request_test(host=host, user=self.user, enable=not host.enabled)


def credentials_for(user: User) -> QuerySet[Credential]:
    """Those to choose from. All of them; for those who manage some hosts only, what opens none but these: whoever
    chooses a credential and an address has its secret sent there."""
    if can_everywhere(user, Permission.MANAGE_HOSTS):
        return Credential.objects.all()
    managed = Host.objects.open_to(user, Permission.MANAGE_HOSTS)
    opening_others = Host.objects.exclude(pk__in=managed.values("pk")).exclude(credential=None)
    used = Credential.objects.filter(hosts__in=managed).distinct()
    return used.exclude(pk__in=opening_others.values("credential"))


def initial_values(host: Host) -> dict[str, Any]:
    """What `HostForm` shows of a host that is there already."""
    fields = {field: getattr(host, field) for field in HostForm.base_fields}
    return fields | {"site": host.site or "", "tags": " ".join(tag.name for tag in host.tags.all())}


def _with_name(data: Mapping[str, Any] | None, kind: str) -> dict[str, Any]:
    """What was posted, with a name for the credential if none was given."""
    posted = dict((data or {}).items())
    if not posted.get("new-name", "").strip():
        posted["new-name"] = f"{posted.get('name', '')} {Credential.Kind(kind).label}".strip()
    return posted

"""The forms about credentials. What is secret goes in and never comes out again, not even after a mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.db.models import QuerySet

from hosts.forms import checked
from hosts.inputs import CredentialData
from hosts.keys import check_key_fits, clean_certificate, clean_private_key, generate_ssh_key, ssh_public_key
from hosts.models import Credential, Transport
from vmdash.exceptions import InvalidInput

CREDENTIAL_KINDS = {
    Transport.SSH: Credential.Kind.SSH_KEY,
    Transport.LIBSSH: Credential.Kind.SSH_KEY,
    Transport.TLS: Credential.Kind.TLS,
    Transport.TCP: Credential.Kind.SASL,
}
"""What opens a host, by transport. A UNIX socket needs nothing."""

CREDENTIAL_FIELDS: dict[str, tuple[str, ...]] = {
    Credential.Kind.SSH_KEY: ("private_key",),
    Credential.Kind.SASL: ("username", "password"),
    Credential.Kind.TLS: ("certificate", "private_key", "ca_certificate"),
}


class SecretText(forms.Textarea):
    """Several lines that are never sent back to the browser, like a password."""

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        return super().get_context(name, None, attrs)


def _pem(widget: type[forms.Textarea], what: str) -> forms.Textarea:
    return widget({"rows": 4, "class": "mono", "spellcheck": "false", "placeholder": f"-----BEGIN {what}-----"})


class CredentialForm(forms.Form):
    """The content of one credential of a kind. Fields that its kind does not have are ignored."""

    name = forms.CharField(max_length=80, label="Name of the credential", help_text="To choose it for other hosts.")
    username = forms.CharField(
        max_length=120, required=False, label="User name", widget=forms.TextInput({"autocomplete": "off"})
    )
    password = forms.CharField(
        max_length=400,
        required=False,
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )
    certificate = forms.CharField(
        max_length=60_000, required=False, label="Client certificate", widget=_pem(forms.Textarea, "CERTIFICATE")
    )
    private_key = forms.CharField(
        max_length=20_000,
        required=False,
        widget=_pem(SecretText, "PRIVATE KEY"),
        help_text="In OpenSSH or PEM format, without a passphrase.",
    )
    ca_certificate = forms.CharField(
        max_length=60_000,
        required=False,
        label="Certificate of the CA",
        help_text="Who signed the host's certificate. Empty: its fingerprint is shown to you to confirm.",
        widget=_pem(forms.Textarea, "CERTIFICATE"),
    )

    def __init__(
        self,
        *args: Any,
        kind: str,
        generate: bool = False,
        credential: Credential | None = None,
        **kwargs: Any,
    ) -> None:
        """`generate`: make the SSH key instead of reading one. `credential`: the one that is replaced."""
        super().__init__(*args, **kwargs)
        self.kind = kind
        self.generate = generate
        self.credential = credential

    def clean_name(self) -> str:
        name = cast(str, self.cleaned_data["name"])
        others = Credential.objects.exclude(pk=self.credential.pk) if self.credential else Credential.objects.all()
        if others.filter(name=name).exists():
            raise forms.ValidationError(f'There is a credential "{name}" already. Choose it, or give another name.')
        return name

    def clean_password(self) -> str:
        password = cast(str, self.cleaned_data["password"])
        if any(ord(character) < 32 for character in password):
            raise forms.ValidationError("A password cannot hold line breaks or other control characters.")
        return password

    def clean_private_key(self) -> str:
        return self._checked("private_key", clean_private_key)

    def clean_certificate(self) -> str:
        return self._checked("certificate", clean_certificate)

    def clean_ca_certificate(self) -> str:
        return self._checked("ca_certificate", clean_certificate)

    def _checked(self, field: str, clean: Callable[[str], str]) -> str:
        return checked(clean, self.cleaned_data[field]) if field in CREDENTIAL_FIELDS[self.kind] else ""

    def clean(self) -> dict[str, Any]:
        if self.kind == Credential.Kind.SSH_KEY:
            self._clean_ssh()
        elif self.kind == Credential.Kind.SASL:
            self._require("username", "Give the user name.")
            self._require("password", "Give the password.")
        else:
            self._clean_tls()
        return self.cleaned_data

    def _clean_ssh(self) -> None:
        if self.generate:
            self.cleaned_data["private_key"] = generate_ssh_key()
        elif self._require("private_key", "Paste the private key, or have a key pair generated."):
            try:
                ssh_public_key(self.cleaned_data["private_key"], "")
            except InvalidInput as error:
                self.add_error("private_key", str(error))

    def _clean_tls(self) -> None:
        found = self.cleaned_data
        if not any(found.get(field) for field in ("certificate", "private_key", "ca_certificate")) and not self.errors:
            self.add_error(None, "Paste the client certificate and its key, the CA's certificate, or all three.")
        if found.get("certificate") and self._require("private_key", "Paste the key of the client certificate."):
            try:
                check_key_fits(found["certificate"], found["private_key"])
            except InvalidInput as error:
                self.add_error("private_key", str(error))
        elif found.get("private_key"):
            self._require("certificate", "Paste the certificate of this key.")

    def _require(self, field: str, message: str) -> bool:
        if field in self.cleaned_data and not self.cleaned_data[field]:
            self.add_error(field, message)
        return bool(self.cleaned_data.get(field))

    def data_of(self) -> CredentialData:
        """What was entered, without what its kind does not have. Only after `is_valid()`."""
        return CredentialData(
            name=self.cleaned_data["name"],
            kind=self.kind,
            **{field: self.cleaned_data[field] for field in CREDENTIAL_FIELDS[self.kind]},
        )


class CredentialChoice(forms.Form):
    """What opens the host: nothing, a stored credential, or a new one which `CredentialForm` reads."""

    NEW = "new"
    GENERATE = "generate"

    credential = forms.ChoiceField(required=False, label="Credential")

    def __init__(self, *args: Any, among: QuerySet[Credential], **kwargs: Any) -> None:
        """`among`: the stored ones to choose from."""
        super().__init__(*args, **kwargs)
        stored = [(str(each.pk), f"{each.name} ({each.get_kind_display()})") for each in among]
        cast(forms.ChoiceField, self.fields["credential"]).choices = [
            ("", "None"),
            (self.NEW, "A new one, entered here"),
            (self.GENERATE, "A new SSH key, generated here"),
            *([("Stored", stored)] if stored else []),
        ]

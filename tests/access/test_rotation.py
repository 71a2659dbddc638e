"""Stored secrets get a new key: all of them, also when it was interrupted."""

from __future__ import annotations

from io import StringIO

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal import auth as recovery_codes
from allauth.mfa.totp.internal import auth as totp
from allauth.mfa.utils import decrypt
from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db.models import TextField
from django.db.models.functions import Cast
from pytest_django import Settings

from hosts.models import Credential
from tests.factories import CredentialFactory
from vmdash.access import rotation
from vmdash.access.encryption import EncryptedTextField, cipher
from vmdash.access.models import AuditEntry, User
from vmdash.webhooks.models import Webhook

pytestmark = pytest.mark.django_db

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture(autouse=True)
def old_key(settings: Settings) -> None:
    settings.ENCRYPTION_KEYS = [OLD]


def stored(model: type = Credential, name: str = "password") -> list[str]:
    rows = model._default_manager.annotate(stored=Cast(name, TextField()))  # type: ignore[attr-defined]
    return list(rows.order_by("pk").values_list("stored", flat=True))


def rotate() -> str:
    out = StringIO()
    call_command("rotate_secrets", stdout=out, stderr=out)
    return out.getvalue()


def test_every_secret_gets_the_new_key_and_the_old_one_is_needed_no_more(settings: Settings, operator: User) -> None:
    CredentialFactory.create(password="one", private_key="key")
    CredentialFactory.create(password="")
    Webhook.objects.create(owner=operator, name="chat", url="https://chat.example.org/", secret="whsec_YQ==")
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    said = rotate()
    assert "Credential.password: 1 encrypted anew, 0 had" in said
    assert "All 3 secrets have the first key" in said
    settings.ENCRYPTION_KEYS = [NEW]
    assert [(one.password, one.private_key) for one in Credential.objects.order_by("pk")] == [("one", "key"), ("", "")]
    assert Webhook.objects.get().secret == "whsec_YQ=="
    with pytest.raises(InvalidToken):
        Fernet(OLD).decrypt(stored()[0].encode())
    assert "3 encrypted anew" in AuditEntry.objects.get(action="secrets.rotate").detail


def test_every_model_with_a_secret_is_among_them(db: None) -> None:
    known = {
        f"{model.__name__}.{field.name}"
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, EncryptedTextField)
    }
    assert {one.what for one in rotation.rotate()} == known | {"Authenticator.data"}
    assert {"Credential.password", "Credential.private_key", "Webhook.secret"} <= known


def test_second_factors_get_it_too_and_go_on_working(settings: Settings, operator: User) -> None:
    totp.TOTP.activate(operator, "JBSWY3DPEHPK3PXP")
    codes = recovery_codes.RecoveryCodes.activate(operator)
    before = codes.get_unused_codes()
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    assert "Authenticator.data: 2 encrypted anew, 0 had" in rotate()
    assert "Authenticator.data: 0 encrypted anew, 2 had" in rotate()
    settings.ENCRYPTION_KEYS = [NEW]
    kept = {one.type: one for one in Authenticator.objects.filter(user=operator)}
    assert decrypt(kept["totp"].data["secret"]) == "JBSWY3DPEHPK3PXP"
    assert recovery_codes.RecoveryCodes(kept["recovery_codes"]).get_unused_codes() == before


def test_done_again_it_changes_nothing(settings: Settings) -> None:
    CredentialFactory.create(password="one")
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    rotate()
    before = stored()
    assert "Credential.password: 0 encrypted anew, 1 had the first key already" in rotate()
    assert stored() == before


def test_interrupted_it_goes_on_where_it_was(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        CredentialFactory.create(password=f"secret {number}")
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    done: list[int] = []

    def fails_at_the_second() -> object:
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return cipher()

    with monkeypatch.context() as patch:
        patch.setattr(rotation, "cipher", fails_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            list(rotation.rotate())
    assert sorted(one.password for one in Credential.objects.all()) == ["secret 0", "secret 1", "secret 2"]
    assert "Credential.password: 2 encrypted anew, 1 had" in rotate()


def test_what_somebody_changes_meanwhile_stays(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    CredentialFactory.create(password="one")
    settings.ENCRYPTION_KEYS = [NEW, OLD]

    def somebody_is_quicker() -> object:
        Credential.objects.update(password="changed")
        return cipher()

    monkeypatch.setattr(rotation, "cipher", somebody_is_quicker)
    list(rotation.rotate())
    settings.ENCRYPTION_KEYS = [NEW]
    assert Credential.objects.get().password == "changed"


def test_what_no_key_opens_is_named_and_the_others_are_done(settings: Settings) -> None:
    lost = CredentialFactory.create(password="lost")
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    CredentialFactory.create(password="good")
    settings.ENCRYPTION_KEYS = [NEW, *settings.ENCRYPTION_KEYS]
    out = StringIO()
    with pytest.raises(CommandError, match="1 of 2 secrets cannot be read"):
        call_command("rotate_secrets", stdout=out, stderr=out)
    assert f"rows {lost.pk}" in out.getvalue()
    settings.ENCRYPTION_KEYS = [NEW]
    assert Credential.objects.defer("password").count() == 2
    assert Credential.objects.exclude(pk=lost.pk).get().password == "good"
    assert AuditEntry.objects.get(action="secrets.rotate").failed

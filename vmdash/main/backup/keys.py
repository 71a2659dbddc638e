"""Which keys stored secrets need. A fingerprint tells a key apart from others, and nothing about it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.db.models import TextField
from django.db.models.functions import Cast

from vmdash.access.encryption import EncryptedTextField
from vmdash.exceptions import Conflict

_FERNET = "gAAAAA"
"""How whatever Fernet encrypts begins, until the year 2106: a version and the high bytes of a time."""


def fingerprint(key: str) -> str:
    return hashlib.sha256(b"vmdash encryption key " + key.encode()).hexdigest()[:16]


def present() -> set[str]:
    """The fingerprints of the keys in the settings."""
    return {fingerprint(key) for key in settings.ENCRYPTION_KEYS}


def needed() -> list[str]:
    """The fingerprints of the keys that some stored secret was written with.

    Raises Conflict: there is a secret that no key in the settings reads.
    """
    keys = [(fingerprint(key), Fernet(key)) for key in settings.ENCRYPTION_KEYS]
    found = set()
    for what, secret in _secrets():
        reading = next((name for name, key in keys if _reads(key, secret)), None)
        if reading is None:
            raise Conflict(
                f"A stored secret ({what}) cannot be read with the keys in VMDASH_ENCRYPTION_KEYS.",
                hint="Add the key that it was written with.",
            )
        found.add(reading)
    return sorted(found)


def _secrets() -> Iterator[tuple[str, str]]:
    """Every stored one as it is in the database."""
    for model in apps.get_models():
        for field in model._meta.local_concrete_fields:
            if isinstance(field, EncryptedTextField):
                raw = model._default_manager.order_by().annotate(raw=Cast(field.name, TextField()))
                for secret in raw.values_list("raw", flat=True).iterator():
                    if secret:
                        yield f"{model.__name__}.{field.name}", secret
    for data in Authenticator.objects.values_list("data", flat=True).iterator():
        for name, value in data.items():
            if isinstance(value, str) and value.startswith(_FERNET):
                yield f"Authenticator.{name}", value


def _reads(key: Fernet, secret: str) -> bool:
    try:
        key.decrypt(secret.encode())
    except InvalidToken:
        return False
    return True

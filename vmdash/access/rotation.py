"""Encrypting stored secrets anew, with the first of the keys in the settings.

Row by row, and only where the text is still the one that was read: it may be interrupted and done again, and what
people change meanwhile stays as they changed it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.db.models import Field, Model, TextField, Value
from django.db.models.functions import Cast

from vmdash.access.encryption import EncryptedTextField, cipher


@dataclass(slots=True)
class Rotated:
    """How many secrets of one sort there are, and what became of them."""

    what: str
    """Model and field: `Credential.password`."""
    anew: int = 0
    before: int = 0
    """Those that had the first key already."""
    unreadable: list[str] = field(default_factory=list)
    """The ids of rows that none of the keys opens."""

    @property
    def number(self) -> int:
        return self.anew + self.before + len(self.unreadable)


def rotate() -> Iterator[Rotated]:
    """One after the other, each once all of its sort were seen."""
    for model in apps.get_models():
        for one in model._meta.concrete_fields:
            if isinstance(one, EncryptedTextField):
                yield _rotate(model, one)


def _rotate(model: type[Model], secret: Field[object, object]) -> Rotated:
    result, newest = Rotated(f"{model.__name__}.{secret.name}"), Fernet(settings.ENCRYPTION_KEYS[0])
    rows = model._base_manager.annotate(stored=Cast(secret.name, TextField()))
    for pk, stored in list(rows.exclude(stored=None).exclude(stored="").order_by("pk").values_list("pk", "stored")):
        try:
            newest.decrypt(stored.encode())
            result.before += 1
            continue
        except InvalidToken:
            pass
        try:
            anew = cipher().rotate(stored.encode()).decode()
        except InvalidToken:
            result.unreadable.append(str(pk))
            continue
        if rows.filter(pk=pk, stored=stored).update(**{secret.name: Value(anew, TextField())}):
            result.anew += 1
        else:
            result.before += 1  # it was written meanwhile, which is done with the first key
    return result

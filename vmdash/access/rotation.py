"""Encrypting stored secrets anew, with the first of the keys in the settings.

Row by row, and only where the text is still the one that was read: it may be interrupted and done again, and what
people change meanwhile stays as they changed it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.db import transaction
from django.db.models import Field, Model, TextField, Value
from django.db.models.functions import Cast

from vmdash.access.encryption import EncryptedTextField, cipher

IN_JSON = {"mfa.Authenticator": "data"}
"""Fields that have encrypted texts among others: of second factors, the keys and the seeds of codes."""
_TOKEN = "gAAAA"  # noqa: S105  (how every Fernet token begins: a version and the upper half of a time)


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
    for model_name, name in IN_JSON.items():
        yield _rotate_json(apps.get_model(model_name), name)


def _rotate(model: type[Model], secret: Field[object, object]) -> Rotated:
    result = Rotated(f"{model.__name__}.{secret.name}")
    rows = model._base_manager.annotate(stored=Cast(secret.name, TextField()))
    for pk, stored in list(rows.exclude(stored=None).exclude(stored="").order_by("pk").values_list("pk", "stored")):
        try:
            anew = _anew(stored)
        except InvalidToken:
            result.unreadable.append(str(pk))
            continue
        if anew is not None and rows.filter(pk=pk, stored=stored).update(**{secret.name: Value(anew, TextField())}):
            result.anew += 1
        else:
            result.before += 1  # also what was written meanwhile: that is done with the first key
    return result


def _rotate_json(model: type[Model], name: str) -> Rotated:
    """The tokens in a JSON field, each row while it is locked."""
    result, rows = Rotated(f"{model.__name__}.{name}"), model._base_manager.all()
    for pk in list(rows.order_by("pk").values_list("pk", flat=True)):
        with transaction.atomic():
            row = rows.select_for_update().filter(pk=pk).first()
            if row is None:
                continue
            held = Rotated(result.what)
            setattr(row, name, _renewed(getattr(row, name), str(pk), held))
            if held.anew:
                row.save(update_fields=[name])
        result.anew, result.before = result.anew + held.anew, result.before + held.before
        result.unreadable += held.unreadable
    return result


def _renewed(value: Any, pk: str, counted: Rotated) -> Any:
    """The same JSON, with its tokens encrypted anew."""
    if isinstance(value, dict):
        return {key: _renewed(inner, pk, counted) for key, inner in value.items()}
    if isinstance(value, list):
        return [_renewed(inner, pk, counted) for inner in value]
    if not isinstance(value, str) or not value.startswith(_TOKEN):
        return value
    try:
        anew = _anew(value)
    except InvalidToken:
        counted.unreadable.append(pk)
        return value
    counted.anew += anew is not None
    counted.before += anew is None
    return anew or value


def _anew(token: str) -> str | None:
    """What it holds, encrypted with the first key; None if it is already. Raises InvalidToken: no key opens it."""
    try:
        Fernet(settings.ENCRYPTION_KEYS[0]).decrypt(token.encode())
    except InvalidToken:
        return cipher().rotate(token.encode()).decode()
    return None

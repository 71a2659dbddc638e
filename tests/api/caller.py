"""Asking the API as a script does."""

from __future__ import annotations

from typing import Any

import orjson
from django.test import Client

from vmdash.access.models import User
from vmdash.api import tokens
from vmdash.api.models import TokenScope


class Caller:
    """Somebody with a token. What is given is JSON; `get("/guests")` asks for /api/v1/guests."""

    def __init__(self, user: User, scope: TokenScope = TokenScope.EVERYTHING) -> None:
        self.token, self.text = tokens.make(user=user, name=f"{scope} {user.pk}", scope=scope, until=None)
        self.client = Client(headers={"authorization": f"Bearer {self.text}"})

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(f"/api/v1{path}", headers=headers)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        return self.client.generic(
            method, f"/api/v1{path}", _json(body), content_type="application/json", headers=headers
        )

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("POST", path, body, **headers)


def _json(body: Any) -> bytes:
    return b"" if body is None else orjson.dumps(body)

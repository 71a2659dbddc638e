"""An OpenID provider of the tests' own, in a process of its own."""

from __future__ import annotations

import json
import sys
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.test import Client

from tests.services import Server, free_port


class Provider(Server):
    """Knows the people that `knows` told it of, and lets in whoever it is told to."""

    def __init__(self) -> None:
        super().__init__("oidc")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._start(sys.executable, "-m", "oidc_provider_mock", "--port", str(port))
        self._wait()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/.well-known/openid-configuration", timeout=5).is_success
        except httpx.TransportError:
            return False

    def knows(self, subject: str, **claims: Any) -> None:
        answer = httpx.put(f"{self.url}/users/{subject}", content=json.dumps(claims), headers=_JSON)
        answer.raise_for_status()

    def lets_in(self, subject: str, client: Client, *, wanted: str = "") -> Any:
        """All the way: from our page to the provider's, and back. What our page answers in the end."""
        return client.get(self.answer_of(subject, client, wanted=wanted), follow=True)

    def answer_of(self, subject: str, client: Client, *, wanted: str = "", action: str = "") -> str:
        """Where the provider sends the browser after it asked who they are."""
        ours = client.get("/sign-in/oidc/", {"next": wanted} if wanted else {})
        asked = ours.headers["Location"]
        assert asked.startswith(f"{self.url}/")
        answer = httpx.post(asked, data={"sub": subject, **({"action": action} if action else {})})
        back = urlsplit(answer.headers["Location"])
        return f"{back.path}?{back.query}"


_JSON = {"Content-Type": "application/json"}

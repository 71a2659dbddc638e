"""Asking the API."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx

from vmdash.cli.env import Access

PART = 500
TIMEOUT_S = 30
TRIES = 3
LONGEST_WAIT_S = 60


class Refused(Exception):
    """What was asked for is not done, and why, in words."""


class Client:
    def __init__(self, access: Access, transport: httpx.BaseTransport | None = None) -> None:
        """`transport`: in place of the network."""
        self._http = httpx.Client(
            base_url=f"{access.url}/api/v1",
            headers={"Authorization": f"Bearer {access.token}", "Accept": "application/json"},
            timeout=TIMEOUT_S,
            transport=transport,
        )

    def get(self, path: str, **query: Any) -> Any:
        """Raises Refused."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: Any) -> Any:
        """Whatever happens to the connection, it is done once. Raises Refused."""
        return self._ask("POST", path, json=body, headers={"Idempotency-Key": str(uuid.uuid4())})

    def all(self, path: str, **query: Any) -> Iterator[Any]:
        """Everything in a list, part by part. Raises Refused."""
        offset, total = 0, 1
        while offset < total:
            found = self.get(path, offset=offset, limit=PART, **query)
            yield from found["items"]
            offset, total = offset + PART, found["total"]

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        for left in reversed(range(TRIES)):
            try:
                answer = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                if not left:
                    raise Refused(f"{self._http.base_url.host} does not answer: {error}") from error
                continue
            wait = answer.headers.get("Retry-After", "")
            if answer.status_code == httpx.codes.TOO_MANY_REQUESTS and left and wait.isdecimal():
                time.sleep(min(int(wait), LONGEST_WAIT_S))
                continue
            return _content(answer)
        raise AssertionError("unreachable")


def _content(answer: httpx.Response) -> Any:
    try:
        content = answer.json() if answer.content else None
    except ValueError:
        raise Refused(f"This is not the API of vmdash: {answer.url} answers {answer.status_code}.") from None
    if answer.is_success:
        return content
    known = content if isinstance(content, dict) else {}
    words = [known.get("detail", f"It answers {answer.status_code}."), known.get("hint", "")]
    words += [f"{error['at']}: {error['message']}" for error in known.get("errors", ())]
    raise Refused(" ".join(filter(None, words)))

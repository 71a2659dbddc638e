"""How a console session ends, in a form that reaches the page: a WebSocket close code and a reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

REASON_BYTES = 123
"""What fits into a close frame (RFC 6455, 5.5.1)."""


class CloseCode(IntEnum):
    """`static/js/console-session.js` knows these numbers too."""

    CLOSED_BY_BROWSER = 1000
    GATEWAY_STOPS = 1001
    BROWSER_LOST = 1006
    TRY_LATER = 1013
    CLOSED_BY_GUEST = 4000
    SIGNED_OUT = 4401
    RIGHT_WITHDRAWN = 4403
    GUEST_GONE = 4404
    IN_USE = 4409
    UNREACHABLE = 4502


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a session ended; `words` are a sentence for people."""

    code: CloseCode
    words: str

    @property
    def reason(self) -> str:
        """The words as a close frame takes them."""
        return self.words.encode()[:REASON_BYTES].decode(errors="ignore")


class Ended(Exception):
    """The session is over."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.words)
        self.ending = ending

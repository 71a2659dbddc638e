"""The exceptions every part of vmdash shares.

An error a person may see says three things: what failed and where (the message), what to do next (``hint``),
and the raw text of whatever reported it (``detail``, shown under "Details" and kept in job logs).
"""

from __future__ import annotations


class VmdashError(Exception):
    """Base of every error vmdash raises on purpose.

    ``message`` is one or two plain sentences without markup. ``hint`` is a sentence in the imperative, or empty.
    ``detail`` is for the curious: untranslated, possibly several lines.
    """

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class InvalidInput(VmdashError):
    """What was given cannot be used as it is (a form, an XML document, a file)."""


class NotFound(VmdashError):
    """The thing that was named does not exist, or not any more."""


class NotPermitted(VmdashError):
    """The one who asks may not do this."""


class Conflict(VmdashError):
    """It cannot be done now because of the state something is in."""


class Unavailable(VmdashError):
    """A service or host that is needed does not answer. Trying again later may help."""


class Unsupported(VmdashError):
    """This host, driver or version lacks the function. Trying again will not help."""

"""Reading UUIDs."""

from __future__ import annotations

from uuid import UUID


def uuid_of(text: str) -> UUID | None:
    """The UUID that it is; None for what is none."""
    try:
        return UUID(text)
    except ValueError:
        return None

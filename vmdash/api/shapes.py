"""What the shapes of the operations have in common."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from ninja import Field, Schema
from pydantic import ConfigDict, StringConstraints

T = TypeVar("T")
MOST = 500
"""Things in one answer."""

Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=500)]
"""Text of people, in one line: nothing is called by control characters, and databases refuse some of them."""


class Input(Schema):
    """What is sent. A name that is not known is an error: nothing is silently left out."""

    model_config = ConfigDict(extra="forbid")


class Paging(Schema):
    """Which of many."""

    offset: int = Field(0, ge=0, le=1_000_000_000, description="So many are skipped.")
    limit: int = Field(100, ge=1, le=MOST, description="At most so many come.")

    def of(self, rows: Any) -> Any:
        """The part of a queryset or list."""
        return rows[self.offset : self.offset + self.limit]


class Window(Schema, Generic[T]):
    """Some out of all that match."""

    items: list[T]
    total: int = Field(description="All that match and that you may see.")
    offset: int
    limit: int

    @classmethod
    def out_of(cls, items: Sequence[T], total: int, paging: Paging) -> "Window[T]":
        return cls(items=list(items), total=total, offset=paging.offset, limit=paging.limit)


def same_named(source: object, *names: str) -> dict[str, Any]:
    """What is called the same there and in the answer."""
    return {name: getattr(source, name) for name in names}


def moment(unix_ms: int | None) -> datetime | None:
    """Unix milliseconds, as live messages have them."""
    return None if unix_ms is None else datetime.fromtimestamp(unix_ms / 1000, UTC)

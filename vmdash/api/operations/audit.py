"""Reading the audit trail."""

from datetime import datetime
from typing import Literal

from ninja import Field, Query, Router, Schema
from pydantic import AwareDatetime

from vmdash.access.guards import SignedInRequest, allow_everywhere
from vmdash.access.models import AuditEntry
from vmdash.access.roles import Permission
from vmdash.access.trail import selectors
from vmdash.access.trail.forms import AuditSearch
from vmdash.api.checked import checked
from vmdash.api.shapes import Line, Paging, Window, same_named

router = Router(tags=["audit"])


class Entry(Schema):
    id: int
    number: int | None = Field(description="Its place in the chain of hashes; none until it is chained.")
    at: datetime
    user: str
    address: str = Field(description="The IP address from which it was asked for; empty: not over the network.")
    action: str = Field(description="Such as `domain.start`.")
    target_kind: str
    target_id: str
    target_name: str
    result: str = Field(description="done, failed or refused.")
    detail: str
    hash: str

    @classmethod
    def of(cls, row: AuditEntry) -> "Entry":
        plain = (
            "id", "number", "at", "address", "action", "target_kind", "target_id", "target_name", "result", "detail",
            "hash",
        )  # fmt: skip
        return cls(**same_named(row, *plain), user=row.user_name)


class AuditFilters(Paging):
    who: Line = Field("", description="A part of a user name, or the beginning of an address.")
    action: Line = Field("", description="The beginning of its name.")
    what: Line = Field("", description="A part of what it was about, or of the detail; or a whole id.")
    since: AwareDatetime | None = Field(None, description="With a time zone: 2030-01-31T12:00:00Z.")
    until: AwareDatetime | None = None
    result: Literal["", "done", "failed", "refused"] = ""
    before: int | None = Field(
        None, ge=1, le=2**62, description="Only entries with a smaller id, so that new ones do not move the parts."
    )


@router.get("", response=Window[Entry])
@allow_everywhere(Permission.AUDIT)
def list_audit_entries(request: SignedInRequest, filters: Query[AuditFilters]) -> Window[Entry]:
    """Newest first."""
    form = AuditSearch(filters.dict(exclude={"offset", "limit", "before"}))
    checked(form)
    found = selectors.entries(**form.conditions())
    if filters.before is not None:
        found = found.filter(pk__lt=filters.before)
    return Window[Entry].out_of([Entry.of(row) for row in filters.of(found)], found.count(), filters)

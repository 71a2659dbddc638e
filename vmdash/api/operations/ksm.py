"""How a host merges equal pages of memory."""

from ninja import Field, Router, Schema, Status

from hosts.ksm import services
from hosts.ksm.forms import MOST_PAGES, MOST_PAUSE_MS, KsmForm
from hosts.ksm.words import shown
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.api.checked import checked
from vmdash.api.once import once
from vmdash.api.operations.hosts import find_host
from vmdash.api.operations.jobs import Job, asked_for
from vmdash.api.shapes import Input, Line, same_named
from vmdash.exceptions import NotFound

router = Router(tags=["hosts"])


class Ksm(Schema):
    """Counts are of pages."""

    pages_to_scan: int
    sleep_ms: int
    shared: int
    sharing: int
    unshared: int
    full_scans: int
    merge_across_nodes: bool | None
    page_kib: int | None
    saved_kib: int | None
    state: str = Field(description="In words.")


class KsmWish(Input):
    pages_to_scan: int = Field(ge=0, le=MOST_PAGES, description="Before each pause; 0: it looks at none.")
    sleep_ms: int = Field(ge=1, le=MOST_PAUSE_MS)


@router.get("/{host}/ksm", response=Ksm)
@allow(Permission.VIEW)
def get_ksm(request: SignedInRequest, host: Line) -> Ksm:
    """404 where the host tells nothing of it."""
    found = find_host(request, host)
    known = shown(found)
    if known is None:
        raise NotFound(f"{found.name} tells nothing of KSM.")
    return Ksm(**same_named(known, *Ksm.model_fields))


@router.post("/{host}/ksm", response={202: Job})
@allow(Permission.MANAGE_HOSTS)
@once
def change_ksm(request: SignedInRequest, host: Line, wish: KsmWish) -> Status[Job]:
    """Have it look for equal pages harder, less hard, or not at all."""
    found = find_host(request, host, Permission.MANAGE_HOSTS)
    asked = checked(KsmForm(wish.dict()))
    return asked_for(request, services.change(host=found, user=request.user, **asked))

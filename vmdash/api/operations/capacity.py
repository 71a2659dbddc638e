"""Capacity: what is given, used and free, what is foreseen, and guests that have too much or too little."""

from datetime import date
from uuid import UUID

from ninja import Field, Query, Router, Schema

from domains.capacity.sheet import KINDS, Sheet, sheet
from domains.capacity.sheet import Line as Row
from domains.capacity.takers import CPU_RATIO
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.api.shapes import Paging, Window

router = Router(tags=["capacity"])


class Foreseen(Schema):
    resource: str
    earliest: date | None
    likely: date | None
    latest: date | None


class CapacityLine(Schema):
    """The fleet, a site or a host. null where nothing is known, or where it would count what you may not see."""

    level: str
    name: str
    guests: int
    cpus: int
    vcpus: int
    vcpus_per_cpu: float | None
    cpus_busy: float | None
    cpus_lost_to_steal: float | None
    memory_bytes: int
    memory_given_bytes: int
    memory_room_bytes: int | None
    memory_busy_bytes: float | None
    storage_bytes: int | None
    storage_taken_bytes: int | None
    storage_promised_bytes: int | None
    guests_lost_if_it_fails: int | None
    hosts_crowded_if_it_fails: int | None = Field(
        description=f"Hosts that take over and would have more than {CPU_RATIO:g} vCPUs per CPU."
    )
    cpu_fits_if_it_fails: bool | None = Field(
        description="Whether the CPU that its guests used is there where they go. null also where too little was "
        "measured to tell."
    )
    full_first: Foreseen | None

    @classmethod
    def of(cls, line: Row, *, whole: bool) -> "CapacityLine":
        full, room = line.first_full, line.storage
        return cls(
            level=line.scope,
            name=line.name,
            guests=line.guests,
            cpus=line.cpus,
            vcpus=line.vcpus,
            vcpus_per_cpu=line.cpu_ratio if whole else None,
            cpus_busy=line.cpu_busy,
            cpus_lost_to_steal=line.steal_cpus,
            memory_bytes=line.total_kib * 1024,
            memory_given_bytes=line.given_kib * 1024,
            memory_room_bytes=line.memory_room_kib * 1024 if whole else None,
            memory_busy_bytes=line.memory_busy,
            storage_bytes=room.total or None,
            storage_taken_bytes=room.taken if room.total else None,
            storage_promised_bytes=room.promised if room.total else None,
            guests_lost_if_it_fails=len(line.failure.stranded) if line.failure else None,
            hosts_crowded_if_it_fails=len(line.failure.crowded) if line.failure else None,
            cpu_fits_if_it_fails=line.failure.cpu_fits if line.failure else None,
            full_first=Foreseen(
                resource=full.resource, earliest=full.full_from, likely=full.full_at, latest=full.full_by
            )
            if full
            else None,
        )


class Capacity(Schema):
    whole: bool = Field(description="You see every guest; otherwise only what counts nobody else's is told.")
    fleet: CapacityLine
    sites: list[CapacityLine]
    hosts: list[CapacityLine]


class Stranded(Schema):
    """A guest that would go nowhere if its host failed."""

    host: str
    uuid: UUID
    guest: str
    memory_bytes: int
    why: str


class Finding(Schema):
    kind: str
    uuid: UUID
    guest: str
    host: str
    evidence: str
    advice: str


class FindingFilters(Paging):
    kind: str = Field("", pattern=f"^({'|'.join(KINDS)})?$", description=f"{', '.join(KINDS)}; empty: all.")


@router.get("", response=Capacity)
@allow(Permission.VIEW)
def get_capacity(request: SignedInRequest) -> Capacity:
    found = sheet(request.user)

    def lines(rows: list[Row]) -> list[CapacityLine]:
        return [CapacityLine.of(row, whole=found.whole) for row in rows]

    return Capacity(
        whole=found.whole,
        fleet=CapacityLine.of(found.fleet, whole=found.whole),
        sites=lines(found.sites),
        hosts=lines(found.hosts),
    )


@router.get("/failures", response=Window[Stranded])
@allow(Permission.VIEW)
def list_failures(request: SignedInRequest, paging: Query[Paging]) -> Window[Stranded]:
    """The guests for which there is no room elsewhere if their host fails. Empty for those who see a part of the guests
    only."""
    rows = [
        Stranded(
            host=failure.machine.name,
            uuid=one.need.uuid,
            guest=one.need.name,
            memory_bytes=one.need.memory_kib * 1024,
            why=one.why,
        )
        for failure in sheet(request.user).failures
        for one in failure.stranded
    ]
    return Window[Stranded].out_of(paging.of(rows), len(rows), paging)


@router.get("/findings", response=Window[Finding])
@allow(Permission.VIEW)
def list_findings(request: SignedInRequest, filters: Query[FindingFilters]) -> Window[Finding]:
    """Guests that are starved, oversized or idle, by two weeks of history."""
    rows = _findings(sheet(request.user), filters.kind)
    return Window[Finding].out_of(filters.of(rows), len(rows), filters)


def _findings(found: Sheet, kind: str) -> list[Finding]:
    return [
        Finding(
            kind=each,
            uuid=one.use.uuid,
            guest=one.use.name,
            host=one.use.host,
            evidence=one.evidence,
            advice=one.advice,
        )
        for each in KINDS
        if kind in ("", each)
        for one in found.findings[each]
    ]

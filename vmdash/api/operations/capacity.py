"""Capacity: what is given, used and free, what is foreseen, and guests that have too much or too little."""

from datetime import date
from uuid import UUID

from ninja import Field, Query, Router, Schema

from domains.capacity import mail
from domains.capacity.failure import Failure
from domains.capacity.forms import MOST_GUESTS, MOST_HOSTS, WhatIfForm
from domains.capacity.models import CapacityMail
from domains.capacity.sheet import KINDS, Sheet, sheet
from domains.capacity.sheet import Line as Row
from domains.capacity.takers import CPU_RATIO, Taker
from domains.capacity.what_if import Totals, answer
from vmdash.access.guards import SignedInRequest, allow, allow_everywhere
from vmdash.access.roles import Permission
from vmdash.api.checked import checked
from vmdash.api.shapes import Input, Line, Paging, Window, same_named

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


class Added(Schema):
    """What is added to the fleet, on paper."""

    hosts: int = Field(0, ge=0, le=MOST_HOSTS)
    like_host: Line = Field("", description="The name of the host that each of them is like.")
    guests: int = Field(0, ge=0, le=MOST_GUESTS)
    like_guest: Line = Field("", description="The name or UUID of the guest that each of them is like.")
    ratio: float = Field(1.0, ge=0.1, le=4, description="Memory given at most, times what hosts have less 5 %.")
    cpu_ratio: float = Field(CPU_RATIO, ge=0.1, le=64, description="With more vCPUs per CPU a host is crowded.")


class FleetTotals(Schema):
    hosts: int
    guests: int
    vcpus: int
    cpus: int
    memory_bytes: int
    memory_given_bytes: int
    memory_room_bytes: int

    @classmethod
    def of(cls, totals: Totals) -> "FleetTotals":
        return cls(
            **same_named(totals, "hosts", "guests", "vcpus", "cpus"),
            memory_bytes=totals.total_kib * 1024,
            memory_given_bytes=totals.given_kib * 1024,
            memory_room_bytes=totals.room_kib * 1024,
        )


class HostTakes(Schema):
    """A host that takes new guests."""

    host: str
    guests: int
    memory_room_bytes: int = Field(description="What it can still give then.")
    vcpus_per_cpu: float | None
    vcpus_per_cpu_then: float | None
    cpu: str = Field(description="What would be the matter with its CPU, in words; empty: nothing is known to be.")

    @classmethod
    def of(cls, taker: Taker) -> "HostTakes":
        return cls(
            host=taker.machine.name,
            guests=taker.guests,
            memory_room_bytes=taker.left_kib * 1024,
            vcpus_per_cpu=taker.before,
            vcpus_per_cpu_then=taker.after,
            cpu=taker.words,
        )


class ForecastChange(Schema):
    """In words."""

    name: str
    before: str
    after: str


class WhatIf(Schema):
    """The fleet now and then."""

    now: FleetTotals
    then: FleetTotals
    placed: list[HostTakes]
    unplaced: int = Field(description="New guests that no host could take.")
    why_unplaced: str
    disks_fit: int | None = Field(description="For how many there is storage; null: what one takes is not known.")
    cpu_known: bool = Field(description="Whether the CPU need of one was measured; if not, forecasts leave it out.")
    not_survived_now: list[str] = Field(description="Hosts with guests that would not come back if they failed.")
    not_survived_then: list[str]
    cpu_scarce_now: list[str] = Field(description="Hosts after whose loss CPU would be scarce.")
    cpu_scarce_then: list[str]
    forecasts: list[ForecastChange]


class Mail(Schema):
    wanted: bool = Field(description="You get a summary every Monday.")
    obstacle: str = Field(description="Why you cannot; empty: you can.")


class MailWish(Input):
    wanted: bool


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


@router.get("/what-if", response=WhatIf)
@allow_everywhere(Permission.VIEW)
def what_if(request: SignedInRequest, added: Query[Added]) -> WhatIf:
    """The fleet with more hosts or guests. Nothing is stored. For those who see every guest, whose room it is about."""
    form = WhatIfForm(added.dict(), user=request.user)
    checked(form)
    wish = form.wish()
    found = answer(sheet(request.user).park, wish, request.user)
    now, then = (FleetTotals.of(totals) for _, totals in found.totals)
    return WhatIf(
        now=now,
        then=then,
        placed=[HostTakes.of(taker) for taker in found.placed],
        **same_named(found, "unplaced", "why_unplaced", "disks_fit", "cpu_known"),
        not_survived_now=_names(found.sinking_before),
        not_survived_then=_names(found.sinking_after),
        cpu_scarce_now=_names(found.tight_before),
        cpu_scarce_then=_names(found.tight_after),
        forecasts=[ForecastChange(**same_named(change, "name", "before", "after")) for change in found.forecasts],
    )


@router.get("/mail", response=Mail)
@allow(Permission.VIEW)
def get_weekly_mail(request: SignedInRequest) -> Mail:
    """Whether you get the weekly summary."""
    wanted = CapacityMail.objects.filter(user=request.user).exists()
    return Mail(wanted=wanted, obstacle=mail.why_no_mail(request.user))


@router.put("/mail", response=Mail)
@allow(Permission.VIEW)
def want_weekly_mail(request: SignedInRequest, wish: MailWish) -> Mail:
    """Have the weekly summary sent to you, or have no more of them."""
    if wish.wanted:
        mail.subscribe(user=request.user)
    else:
        mail.unsubscribe(user=request.user)
    return Mail(wanted=wish.wanted, obstacle=mail.why_no_mail(request.user))


def _names(failures: list[Failure]) -> list[str]:
    return [failure.machine.name for failure in failures]

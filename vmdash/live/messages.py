"""Every message that goes to a browser, one TypedDict each; `type` tells them apart. A frame is a list of them.

Times are Unix milliseconds (what JavaScript's Date takes). Shares are percent of the whole thing
they belong to: `cpu` of a guest is of its vCPUs, of a host of its CPUs. `None` means unknown, never 0.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class GuestSample(TypedDict):
    """Live figures of one guest. Keys are short since a tick carries one of these per guest."""

    cpu: float | None
    """CPU used, percent of its vCPUs."""
    steal: float | None
    """Waited for a physical CPU, percent of its vCPUs' time (mean over vCPUs)."""
    steal_max: float | None
    """The same for its worst vCPU."""
    mem: int | None
    """Memory used inside the guest, KiB (from the balloon); unknown without one."""
    rss: int | None
    """Memory that the host gives it, KiB."""
    rd: int | None
    """Disk read, bytes per second, all disks."""
    wr: int | None
    rx: int | None
    """Network received, bytes per second, all interfaces."""
    tx: int | None
    swap: int | None
    """Swapped in and out inside the guest, bytes per second."""
    ops: float | None
    """Requests to all disks, per second."""
    lat: float | None
    """Mean time of a request to a disk, ms; unknown when there was none."""
    drop: float | None
    """Packets dropped in both directions, per second, all interfaces."""
    slow_at: int | None
    """When all but `cpu` and `steal` were measured; those are as old as the tick."""


class HostSample(TypedDict):
    """Live figures of one host."""

    cpu: float | None
    """CPU used, percent of its CPUs."""
    steal: float | None
    """Time its guests waited for a CPU, percent of their vCPUs' time."""
    mem: int | None
    """Memory used, KiB, without buffers and cache."""
    mem_total: int | None
    running: int
    """Active guests."""
    vcpus: int
    """Of those of which it is known what they lose: so much `steal` weighs in a mean over hosts."""
    guests: int
    """Guests, active or not."""
    slow_at: int | None
    """When `mem` was measured."""


class CellSample(TypedDict):
    """One NUMA cell of a host that has several, as old as the last look."""

    cell: int
    cpu: float | None
    """CPU used, percent of its CPUs."""
    mem_free: int
    """KiB; libvirt counts memory that holds cached files as used."""
    mem_total: int


class Blame(TypedDict):
    """What a guest lost to others over about the last minute, in percent of its vCPUs' time."""

    lost: float
    by: list[tuple[str, float]]
    """The UUIDs of those who took it, and how much, most first; "" is the host's own work, and its own UUID are its
    vCPUs that wait for each other. What is missing to `lost` is unknown."""
    sure: float
    """0 to 1: how much of it happened on physical CPUs on which all of them were seen at two looks in a row, which are
    2 to 20 s apart."""


class Tick(TypedDict):
    """One round over one host: to the group `host.ID`, and kept in the live cache as it is."""

    type: Literal["tick"]
    host: int
    at: int
    interval_ms: int
    """After three times this without another tick, the figures are old and the page says so."""
    sample: HostSample
    guests: dict[str, GuestSample]
    """Active guests by UUID."""
    blames: dict[str, Blame]
    """Guests that lose time to others, by UUID."""
    cells: list[CellSample]
    """Empty where there is only one, or none is told."""
    places: dict[str, dict[str, int | None]]
    """The physical CPU that each vCPU was on at the last look, by UUID and vCPU. Of hosts with several NUMA cells, and
    of guests where CPU time is lost."""
    looked_at: int | None
    """When the last look began: cells and places are at most so old. None before the first, and where there is only one
    cell."""


class Pulse(TypedDict):
    """The short form of a tick: to the group `pulses`."""

    type: Literal["pulse"]
    host: int
    at: int
    interval_ms: int
    sample: HostSample
    worst: list[tuple[str, str, float]]
    """Up to five guests with the most steal: (uuid, name, percent), worst first, none below 1 %."""


class GuestRow(TypedDict):
    """A guest as tables and headers show it. Also what `/domains/rows/` answers, one per row."""

    uuid: str
    name: str
    title: str
    host: int
    host_name: str
    state: str
    """A `DomainState` value."""
    state_label: str
    """The state in words: "paused"."""
    reason: str
    """The reason in words, empty when it adds nothing: "by user"."""
    reason_in_full: str
    """The same, also when it adds little: "booted"."""
    since: int
    since_known: bool
    """False: it has been so at least since then."""
    observed_at: int
    """When this was last known to be true."""
    vcpus: int
    memory_kib: int
    addresses: list[str]
    numa: str
    """The NUMA mark: "cell 0", "2 cells"; empty when unknown."""
    tags: list[str]
    autostart: bool
    agent: str
    split_brain: bool
    template: bool
    """People's mark: it is there to be cloned, and never starts."""
    job: str
    """What is being done to it right now ("Starting"), else empty."""


class GuestChanged(TypedDict):
    """A guest appeared or changed: to `fleet` and `host.ID` (both hosts when it moved)."""

    type: Literal["guest"]
    row: GuestRow


class GuestGone(TypedDict):
    """Nobody defines this guest any more."""

    type: Literal["guest_gone"]
    uuid: str
    host: int


class HostChanged(TypedDict):
    """A host's connection changed: to `fleet` and `host.ID`."""

    type: Literal["host"]
    host: int
    name: str
    enabled: bool
    state: str
    """A `Host.State` value."""
    state_label: str
    reason: str
    """Why it is not up, with what to do next."""
    since: int
    last_seen_at: int | None


class HostGone(TypedDict):
    """A host was removed from the inventory."""

    type: Literal["host_gone"]
    host: int


class StorageChanged(TypedDict):
    """Pools of a host, or volumes in them, changed: to `fleet` and `host.ID`. Pages load what they show anew."""

    type: Literal["storage"]
    host: int
    pools: list[str]
    """Their UUIDs."""


class JobChanged(TypedDict):
    """A job's state, phase or progress: to the one who asked and to `jobs`."""

    type: Literal["job"]
    id: str
    kind: str
    label: str
    target_kind: str
    target_id: str
    target_name: str
    state: str
    state_label: str
    """What people read; "cancelling" while a running job is being undone."""
    host: str
    names: list[str]
    """The names of hosts that its words may have in them. Who is not told of one gets the words without it, and of
    `host` nothing."""
    phase: str
    """What it does now, or what it waits for."""
    percent: int | None
    done_bytes: int | None
    total_bytes: int | None
    rate_bytes_per_s: int | None
    seconds_left: int | None
    figures: dict[str, Any]
    """What else its kind shows while it lasts."""
    cancelling: bool
    parent: str | None
    """The job that this one is a part of."""
    error: str
    requested_by: str
    at: int


class JobLogged(TypedDict):
    """A new line of a job's log: to the same as `JobChanged`."""

    type: Literal["job_line"]
    job: str
    target_kind: str
    target_id: str
    host: str
    names: list[str]
    """As in `JobChanged`."""
    requested_by: str
    line: int
    """Grows from line to line."""
    at: int
    text: str


class ScreenTaken(TypedDict):
    """A new picture of a guest's screen is at `/domains/UUID/screen.png`: to `guest.UUID`."""

    type: Literal["screen"]
    uuid: str
    host: int
    """Where it was taken: it may have moved to where not everybody may look at it."""
    at: int


class Hello(TypedDict):
    """The server's clock, to show ages right on a wrong clock: first of all, then every 15 s as a sign of life."""

    type: Literal["hello"]
    at: int


class Reload(TypedDict):
    """Messages to this browser were dropped, or its person's rights changed: load what you show anew."""

    type: Literal["reload"]


class Refused(TypedDict):
    """What the browser sent was not understood or not permitted; nothing changed."""

    type: Literal["error"]
    message: str


class Watch(TypedDict):
    """The one message from a browser: replaces the set of topics it follows.

    Topics: `fleet`, `pulses`, `host:ID`, `sample:HOST:UUID` (a host's ticks with the figures of these guests alone),
    `guest:UUID`, `jobs`. At most 300. After it the server sends the newest tick of each host that was added, so a page
    is never empty until the next round.
    """

    type: Literal["watch"]
    topics: list[str]


Message = (
    Tick
    | Pulse
    | GuestChanged
    | GuestGone
    | HostChanged
    | HostGone
    | StorageChanged
    | JobChanged
    | JobLogged
    | ScreenTaken
    | Hello
    | Reload
    | Refused
)

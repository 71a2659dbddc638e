"""Guests as the collector saw them, written into the database: only what differs, and one row wherever a guest goes.

Implements `hosts.collector.inventory.GuestInventory`. The database is asked what is known, never a copy in memory:
several collectors write about the same guest while it moves between their hosts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from domains.columns import Columns, agent_columns, definition_columns, facts_columns
from domains.models import Domain, GuestEvent, Sighting
from domains.rows import guest_rows
from domains.sightings import locate
from domains.snapshots.models import Snapshot
from domains.snapshots.recording import record_snapshots
from hosts.collector.inventory import LIGHT_COLUMNS, GuestMissing, GuestSeen, HostSwept, Observation, Outcome
from hosts.models import Host
from vmdash.live import groups
from vmdash.live.messages import Message
from vmdash.virt.snapshot import SnapshotFacts
from vmdash.virt.states import GuestState, GuestStatus
from vmdash.webhooks import events as webhooks
from vmdash.webhooks.models import Event, Kind

_Seen = dict[UUID, list[tuple[int, GuestSeen | GuestMissing]]]


class DatabaseInventory:
    """The `GuestInventory` of this project."""

    def record(self, observations: Sequence[tuple[Host, Observation]]) -> Outcome:
        """Raises `django.db.Error`. Called inside a transaction that holds the rows of the hosts concerned."""
        seen: _Seen = defaultdict(list)
        hosts = {host.pk: host for host, _ in observations}
        outcome = Outcome()
        for host, observation in observations:
            if not isinstance(observation, HostSwept):
                seen[UUID(observation.uuid)].append((host.pk, observation))
                continue
            known, elsewhere = _known_on(host.pk)
            present = {UUID(uuid) for uuid in observation.uuids}
            for uuid in known - present:
                seen[uuid].append((host.pk, GuestMissing(str(uuid), observation.at)))
            for uuid in elsewhere:  # their other hosts may have come, gone or changed meanwhile
                seen[uuid] += []
            outcome.wanted |= {(host.pk, str(uuid)) for uuid in present - known - seen.keys()}
        guests = _load(seen, hosts)
        for guest in guests:
            guest.record(seen[guest.uuid])
        _save(guests)
        outcome.wanted |= {wanted for guest in guests for wanted in guest.wanted}
        outcome.messages += _messages(guests)
        return outcome


def _known_on(host_id: int) -> tuple[set[UUID], set[UUID]]:
    """The guests a host was last seen to have, and those of them which other hosts have too."""
    here = Sighting.objects.filter(host=host_id).values_list("domain", flat=True)
    elsewhere = Sighting.objects.filter(domain__sightings__host=host_id).exclude(host=host_id)
    return set(here), set(elsewhere.values_list("domain", flat=True))


class _Guest:
    """One guest while it is written: its row, where it was sighted, and what became of both."""

    def __init__(self, uuid: UUID, row: Domain | None, hosts: dict[int, Host]) -> None:
        self.uuid = uuid
        self.row = row
        self.is_new = row is None
        self.changed: set[str] = set()
        self.sightings: dict[int, Sighting] = {}
        self.changed_sightings: dict[int, Sighting] = {}
        self.lost_sightings: list[Sighting] = []
        self.snapshots: tuple[SnapshotFacts, ...] | None = None
        self.wanted: set[tuple[int, str]] = set()
        self.events: list[GuestEvent] = []
        self.old_host_id = row.host_id if row else None
        self._hosts = hosts

    def record(self, observations: Sequence[tuple[int, GuestSeen | GuestMissing]]) -> None:
        for host_id, observation in observations:
            self._sight(host_id, observation)
        whereabouts = locate(list(self.sightings.values()), self.old_host_id, timezone.now())
        if whereabouts.sighting is None:
            if self.row and self.row.gone_at is None:
                self._set({"gone_at": observations[-1][1].at, "split_brain": False})
                self._note(GuestEvent.Kind.GONE, observations[-1][1].at)
            return
        host_id = whereabouts.sighting.host_id
        there = [seen for at_host, seen in observations if at_host == host_id and isinstance(seen, GuestSeen)]
        if self.row is None:
            if not there or there[-1].facts is None:
                self.wanted.add((host_id, str(self.uuid)))
                return
            first = there[0]
            self.row = Domain(
                uuid=self.uuid, state=first.status.state, state_since=first.at, state_since_known=first.witnessed
            )
        elif self.row.host_id != host_id or self.row.gone_at:
            if not any(seen.facts and seen.definition for seen in there):
                self.wanted.add((host_id, str(self.uuid)))
            status = GuestStatus(GuestState(whereabouts.sighting.state), whereabouts.sighting.state_reason)
            self._set_state(status, whereabouts.sighting.seen_at, witnessed=False)
        kind = self._news(host_id)
        self._set({"host": self._hosts[host_id], "gone_at": None, "split_brain": whereabouts.split_brain})
        if kind:
            self._note(kind, there[0].at if there else timezone.now(), witnessed=False)
        for seen in there:
            self._apply(seen)

    def _news(self, host_id: int) -> GuestEvent.Kind | None:
        """What it means that the row is about to follow this host."""
        if self.row is None or self.row.host_id is None or self.row.gone_at:
            return GuestEvent.Kind.SEEN
        return GuestEvent.Kind.MOVED if self.row.host_id != host_id else None

    def _note(self, kind: GuestEvent.Kind, at: datetime, *, witnessed: bool = True) -> None:
        """For the time axis; the name and the place are filled in when all is known."""
        state, reason = str(getattr(self.row, "state", "")), str(getattr(self.row, "state_reason", ""))
        self.events.append(
            GuestEvent(uuid=self.uuid, at=at, kind=kind, state=state, state_reason=reason, witnessed=witnessed)
        )

    def _sight(self, host_id: int, observation: GuestSeen | GuestMissing) -> None:
        sighting = self.sightings.get(host_id)
        if isinstance(observation, GuestMissing):
            if sighting:
                del self.sightings[host_id]
                self.changed_sightings.pop(host_id, None)
                self.lost_sightings.append(sighting)
            return
        state, reason = str(observation.status.state), observation.status.reason
        if sighting is None:
            sighting = Sighting(domain_id=self.uuid, host=self._hosts[host_id])
        elif (sighting.state, sighting.state_reason) == (state, reason):
            return
        if sighting.state != state:
            sighting.seen_at = observation.at
        sighting.state, sighting.state_reason = state, reason
        self.sightings[host_id] = self.changed_sightings[host_id] = sighting

    def _apply(self, seen: GuestSeen) -> None:
        self._set_state(seen.status, seen.at, witnessed=seen.witnessed, restarted=seen.restarted)
        if seen.facts:
            self._set(facts_columns(seen.facts))
        if seen.definition:
            self._set(definition_columns(seen.definition))
        if seen.agent:
            self._set(agent_columns(seen.agent))
        if seen.snapshots is not None:
            self.snapshots = seen.snapshots

    def _set_state(self, status: GuestStatus, at: datetime, *, witnessed: bool, restarted: bool = False) -> None:
        is_news = restarted or getattr(self.row, "state", "") != status.state
        if is_news:
            self._set({"state": str(status.state), "state_since": at, "state_since_known": witnessed})
        self._set({"state_reason": status.reason})
        if is_news:
            self._note(GuestEvent.Kind.STATE, at, witnessed=witnessed)

    def _set(self, columns: Columns) -> None:
        for name, value in columns.items():
            if getattr(self.row, name, None) != value:
                setattr(self.row, name, value)
                self.changed.add(name)


def _load(seen: _Seen, hosts: dict[int, Host]) -> list[_Guest]:
    """The guests with their rows and sightings. Rows are locked, in one order, so that collectors never deadlock."""
    if not seen:
        return []
    found = Sighting.objects.filter(domain__in=seen).select_related("domain")
    sightings = list(found.select_for_update(of=("domain",)).order_by("domain_id"))
    rows = {sighting.domain_id: sighting.domain for sighting in sightings}
    if unsighted := seen.keys() - rows.keys():  # new ones, and those that were gone
        rows |= Domain.objects.select_for_update().in_bulk(unsighted)
    more = {sighting.host_id for sighting in sightings} | {row.host_id for row in rows.values()}
    if more - hosts.keys():
        hosts = hosts | Host.objects.only(*LIGHT_COLUMNS).in_bulk(more - hosts.keys())
    guests = {uuid: _Guest(uuid, rows.get(uuid), hosts) for uuid in seen}
    for row in rows.values():
        row.host = hosts[row.host_id]
    for sighting in sightings:
        sighting.host = hosts[sighting.host_id]
        guests[sighting.domain_id].sightings[sighting.host_id] = sighting
    return list(guests.values())


def _update(guests: Iterable[tuple[_Guest, Domain]]) -> None:
    """Write the columns that changed of known guests: one statement for all in which the same did.

    An upsert that never inserts, since the rows are locked. For many it takes half the time of saving each, where
    `bulk_update`, with a CASE for every value, takes four times as long.
    """
    alike: dict[frozenset[str], list[Domain]] = defaultdict(list)
    for guest, row in guests:
        if guest.changed and not guest.is_new:
            alike[frozenset(guest.changed)].append(row)
    for columns, rows in alike.items():
        Domain.objects.bulk_create(rows, update_conflicts=True, unique_fields=["uuid"], update_fields=columns)


def _save(guests: Iterable[_Guest]) -> None:
    rows = [(guest, guest.row) for guest in guests if guest.row]
    Domain.objects.bulk_create([row for guest, row in rows if guest.is_new])
    _update(rows)
    for guest, row in rows:
        for event in guest.events:
            event.name, event.host_name = row.name, row.host.name
    events = GuestEvent.objects.bulk_create([event for guest, _ in rows for event in guest.events])
    if events:
        webhooks.tell(lambda: map(_for_webhooks, events), list(_WEBHOOK_KINDS.values()))
    told = [(row.pk, guest.snapshots) for guest, row in rows if guest.snapshots is not None]
    if told:  # hardly any guest has snapshots, and each takes queries of its own
        had = set(Snapshot.objects.filter(domain__in=[pk for pk, _ in told]).values_list("domain", flat=True))
        for pk, snapshots in told:
            if snapshots or pk in had:
                record_snapshots(pk, snapshots)
    fresh: list[Sighting] = []
    known: list[Sighting] = []
    for guest, _ in rows:
        for sighting in guest.changed_sightings.values():
            (known if sighting.pk else fresh).append(sighting)
    Sighting.objects.bulk_create(fresh)
    for sighting in known:
        sighting.save(update_fields=["state", "state_reason", "seen_at"])
    lost = [sighting.pk for guest in guests for sighting in guest.lost_sightings if sighting.pk]
    if lost:
        Sighting.objects.filter(pk__in=lost).delete()


_WEBHOOK_KINDS = {
    GuestEvent.Kind.SEEN: Kind.GUEST_SEEN,
    GuestEvent.Kind.STATE: Kind.GUEST_STATE,
    GuestEvent.Kind.MOVED: Kind.GUEST_MOVED,
    GuestEvent.Kind.GONE: Kind.GUEST_GONE,
}


def _for_webhooks(event: GuestEvent) -> Event:
    data = {
        "uuid": str(event.uuid),
        "name": event.name,
        "host": event.host_name,
        "state": event.state,
        "state_reason": event.state_reason,
        "witnessed": event.witnessed,
    }
    kind = _WEBHOOK_KINDS[GuestEvent.Kind(event.kind)]
    return Event(kind=kind, at=event.at, host=event.host_name, guest=event.uuid, data=data)


def _messages(guests: Iterable[_Guest]) -> Iterator[tuple[list[str], Message]]:
    """What browsers are told; both hosts' pages when a guest moved from one to the other."""
    changed = [(guest, guest.row) for guest in guests if guest.row and (guest.is_new or guest.changed)]
    present = [row for _, row in changed if row.gone_at is None]
    rows = {row["uuid"]: row for row in guest_rows(present)}
    for guest, row in changed:
        hosts = {row.host_id, guest.old_host_id or row.host_id}
        to = [groups.FLEET, *(groups.host(host_id) for host_id in sorted(hosts))]
        if row.gone_at is None:
            yield to, {"type": "guest", "row": rows[str(row.uuid)]}
        else:
            yield to, {"type": "guest_gone", "uuid": str(row.uuid), "host": row.host_id}

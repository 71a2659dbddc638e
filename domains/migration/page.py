"""What the page shows on which a guest is moved: where to, whether it can, how far it is, how it went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from domains.actions import host_obstacle
from domains.memory import free_kib
from domains.migration.check_job import CHECK
from domains.migration.job import MIGRATE
from domains.migration.lines import Level
from domains.models import Domain, Migration
from hosts.maintenance import maintenance_obstacle
from hosts.models import Host
from vmdash import formats
from vmdash.access.naming import hosts_told, unnamed
from vmdash.access.roles import Permission
from vmdash.jobs.models import Job
from vmdash.jobs.selectors import JobRow, job_row
from vmdash.jobs.told import job_as_told
from vmdash.live import cache
from vmdash.live.messages import HostSample

if TYPE_CHECKING:
    from vmdash.access.models import User

MOST_MOVES = 20
DOWNTIMES_MS = (500, 1000, 3000, 10_000)
"""What may be granted to a move that stalls."""

_TONES = {Level.PASSED: ("ok", "done"), Level.WARNED: ("warn", "warning"), Level.FAILED: ("bad", "crashed")}
_ORDER = (Level.PASSED, Level.WARNED, "", Level.FAILED)


@dataclass(frozen=True, slots=True)
class ShownLine:
    subject: str
    tone: str
    icon: str
    level: str
    words: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Card:
    """One host that the guest might move to. `verdict` is empty before it was checked."""

    host: Host
    sample: HostSample | None
    verdict: str
    lines: Sequence[ShownLine]
    obstacle: str
    wanted: bool = False
    """Whoever came here has chosen it already."""

    @property
    def is_possible(self) -> bool:
        return not self.obstacle and self.verdict != Level.FAILED

    @property
    def summary(self) -> str:
        """Of the check list, in a few words."""
        counts = [sum(line.level == level for line in self.lines) for level in Level]
        if not self.lines:
            return ""
        words = (f"{counts[2]} in the way", f"{counts[1]} to look at", f"{counts[0]} passed")
        return ", ".join(word for word, count in zip(words, reversed(counts), strict=True) if count)

    @property
    def tone(self) -> str:
        return _TONES[Level(self.verdict)][0] if self.verdict else ""

    @property
    def icon(self) -> str:
        return _TONES[Level(self.verdict)][1] if self.verdict else ""

    @property
    def free_kib(self) -> int | None:
        """Memory that nobody uses now."""
        return free_kib(self.sample)


@dataclass(frozen=True, slots=True)
class MovePage:
    domain: Domain
    current: JobRow | None
    """The move that is on its way or waits."""
    check: JobRow | None
    """The last check, or the one under way."""
    cards: Sequence[Card]
    moves: Sequence[Migration]
    wanted: str

    @property
    def wanted_is_missing(self) -> bool:
        return bool(self.wanted) and not any(card.wanted for card in self.cards)

    @property
    def is_checking(self) -> bool:
        return self.check is not None and self.check.job.finished_at is None


def move_page(domain: Domain, user: User, wanted: str = "") -> MovePage:
    """A fixed number of queries. `wanted` names the host that shall be offered first."""
    jobs = Job.objects.filter(target_kind="domain", target_id=str(domain.pk))
    current = jobs.unfinished().filter(kind=MIGRATE.name).first()
    check = jobs.filter(kind=CHECK.name).first()
    if check and check.parameters["source"] != domain.host_id:
        check = None  # it has moved since
    return MovePage(
        domain=domain,
        current=job_row(current, user) if current else None,
        check=job_row(check, user) if check else None,
        cards=_cards(domain, user, check, wanted),
        wanted=wanted,
        moves=moves_of(domain, user),
    )


def moves_of(domain: Domain, user: User) -> list[Migration]:
    """Newest first, as they may be told. Two queries. Not to be saved: a host that is not told is said to be one."""
    found = list(Migration.objects.visible_to(user).filter(domain=domain)[:MOST_MOVES])
    names = {name for move in found for name in (move.source_name, move.target_name)}
    hidden = names - hosts_told(user, names)
    for move in found:
        move.source_name, move.target_name, move.error = (
            unnamed(text, hidden) for text in (move.source_name, move.target_name, move.error)
        )
    return found


def targets(domain: Domain, user: User) -> list[Host]:
    """Where it might go at all."""
    hosts = Host.objects.open_to(user, Permission.MIGRATE).select_related("site", "credential")
    return list(hosts.filter(driver=domain.host.driver, enabled=True).exclude(pk=domain.host_id))


def _cards(domain: Domain, user: User, check: Job | None, wanted: str) -> list[Card]:
    hosts = targets(domain, user)
    ticks = cache.ticks([host.pk for host in hosts])
    found: Mapping[str, Any] = (check.result or check.figures).get("targets", {}) if check else {}
    cards = [_card(host, ticks.get(host.pk), found.get(str(host.pk)), wanted) for host in hosts]
    return sorted(cards, key=_rank)


def _rank(card: Card) -> tuple[bool, bool, int, int]:
    return (not card.wanted, bool(card.obstacle), _ORDER.index(card.verdict), -(card.free_kib or 0))


def _card(host: Host, tick: Any, found: Mapping[str, Any] | None, wanted: str) -> Card:
    lines = [_shown(line) for line in found["lines"]] if found else []
    lines.sort(key=lambda line: -list(Level).index(Level(line.level)))
    return Card(
        host=host,
        sample=tick["sample"] if tick else None,
        verdict=found["verdict"] if found else "",
        lines=lines,
        obstacle=host_obstacle(host, host.name) or maintenance_obstacle(host),
        wanted=host.name == wanted,
    )


def _shown(line: Mapping[str, str]) -> ShownLine:
    tone, icon = _TONES[Level(line["level"])]
    return ShownLine(line["subject"], tone, icon, line["level"], line["words"], line["remedy"])


@dataclass(frozen=True, slots=True)
class WayOut:
    """A button beside a move on its way. `reason`: why it cannot be pressed."""

    order: str
    amount: int
    label: str
    help: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """A move on its way, for the job's page and the guest's."""

    job: Job
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stalled(self) -> str:
        return str(self.figures.get("stalled", ""))

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Label and figure."""
        told = self.figures
        if not told:
            return []
        return [
            ("Round", str(told["rounds"] or formats.UNKNOWN)),
            ("Sent", formats.size(self.job.done_bytes)),
            ("Left", formats.size(told["remaining_bytes"])),
            ("Rate", formats.per_second(told["rate_bytes_per_s"])),
            ("Guest writes", formats.per_second(told["dirty_bytes_per_s"])),
            ("Expected downtime", formats.brief(told["expected_downtime_ms"])),
            ("Allowed downtime", formats.brief(told["max_downtime_ms"])),
            ("Slowed down by", formats.percent(told["throttle_percent"])),
        ]

    @property
    def ways_out(self) -> list[WayOut]:
        told = self.figures
        if not told or self.job.is_cancelling or told["in_post_copy"]:
            return []
        allowed = told["max_downtime_ms"] or 300
        ways = [
            WayOut(
                "downtime",
                amount,
                f"May stand still for {formats.brief(amount)}",
                "The last round may take that long: the guest answers nobody meanwhile.",
            )
            for amount in [amount for amount in DOWNTIMES_MS if amount > allowed][:2]
        ]
        ways.append(WayOut("bandwidth", 0, "No limit of bandwidth", "It may use all that the network gives."))
        refused = "" if told["post_copy_allowed"] else "It was not allowed at the start: cancel, and move with it."
        ways.append(
            WayOut(
                "post_copy",
                0,
                "Switch to post-copy",
                "It runs at the target from now on and fetches the rest. There is no way back.",
                refused,
            )
        )
        ways.append(WayOut("pause", 0, "Pause until it has arrived", "It writes no more, so one more round is enough."))
        return ways


def running_move(domain: Domain, user: User) -> Running | None:
    """The move of a guest that is on its way or waits, as it may be told to who sees the guest."""
    unfinished = Job.objects.unfinished().filter(kind=MIGRATE.name, target_kind="domain", target_id=str(domain.pk))
    job = unfinished.first()
    return running(job_as_told(job, user)) if job else None


def running(job: Job) -> Running | None:
    """For a move that is on its way; None for other jobs."""
    if job.kind != MIGRATE.name or job.finished_at is not None:
        return None
    return Running(job, job.figures)

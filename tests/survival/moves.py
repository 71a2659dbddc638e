"""Moving guests from host to host."""

from __future__ import annotations

from django.utils import timezone

from domains.migration import services
from domains.models import Migration
from tests.survival.deed import Deed, GuestDeed
from tests.survival.picture import Picture
from tests.survival.stage import Actor, Stage
from vmdash.jobs.models import Job
from vmdash.virt.migration_types import MigrationOptions


def moved(before: Picture, guest: str, there: str) -> Picture:
    """The guest is there now, and so are its files unless they are shared."""
    here = before.host_of(guest)
    local = {file for file in before.of(guest).files if file.startswith(f"{here}/")}
    return before.changed(
        guests={guest: {there: before.guests[guest][here]}},
        disks={f"{guest}@{here}": (), f"{guest}@{there}": before.disks[f"{guest}@{here}"]},
        add=[f"{there}/{file.partition('/')[2]}" for file in local],
        remove=local,
    )


class Move(Deed):
    """There and back: it is asked for from wherever the guest is."""

    guest: str
    between: tuple[str, str]
    bandwidth_mib_s = 0

    @classmethod
    def guest_name(cls) -> str:
        return cls.guest

    def _target(self, before: Picture) -> str:
        here = before.host_of(self.guest)
        return self.between[1 - self.between.index(here)]

    def is_ready(self, now: Picture) -> bool:
        return len(now.guests.get(self.guest, {})) == 1

    def ask(self, now: Picture) -> Job:
        return services.request_migration(
            domain=self.stage.domain(self.guest),
            target=self.stage.rows[self._target(now)],
            user=self.stage.user,
            options=MigrationOptions(bandwidth_mib_s=self.bandwidth_mib_s),
        )

    def done(self, before: Picture, job: Job) -> Picture:
        own = before.of(self.own)
        return moved(own, self.guest, self._target(own))

    def check(self, job: Job, now: Picture, *, came_about: bool) -> None:
        kept = Migration.objects.filter(job=job).first()
        if kept is not None:
            assert (kept.outcome == "moved") is came_about, kept.outcome
            assert kept.started_at <= timezone.now()
        elif came_about:
            raise AssertionError("Nothing is written down of the move")


class MoveShared(Move):
    name, own = "move on shared storage", "web1"
    guest, between = "web1", ("kvm1", "kvm2")
    bandwidth_mib_s = 24

    def remake(self, now: Picture) -> None:
        raise AssertionError(f"The practice fleet has lost {self.guest}")

    def rest(self, now: Picture) -> None:
        """It belongs to the fleet, which other tests expect as it was: it goes home."""
        states, (home, _) = now.guests[self.guest], self.between
        away = next((host for host, state in states.items() if host != home and state != "shut off"), "")
        if away and home not in states:
            options = ["--live", "--unsafe", "--p2p", "--persistent", "--undefinesource"]
            uri = self.stage.hosts[home].migration_uri
            self.stage.hosts[away].virsh("migrate", *options, self.guest, uri, timeout_s=120)

    def leave(self, now: Picture) -> None:
        self.rest(now)


class _OwnMove(Move, GuestDeed):
    def __init__(self, stage: Stage) -> None:
        self.guest = self.guest_name()
        GuestDeed.__init__(self, stage)

    @classmethod
    def guest_name(cls) -> str:
        return cls.actor.name

    def is_ready(self, now: Picture) -> bool:
        own = now.of(self.own)
        return [*own.guests.get(self.own, {}).values()] == [self.actor.state] and len(own.files) == 1

    def leave(self, now: Picture) -> None:
        GuestDeed.leave(self, now)

    def check(self, job: Job, now: Picture, *, came_about: bool) -> None:
        super().check(job, now, came_about=came_about)
        (disk,) = now.of(self.own).files
        assert self.stage.path(disk).stat().st_size > self.actor.mib << 20, "its disk has lost its content"


class MoveCopied(_OwnMove):
    name = "move with its disk"
    actor = Actor("roamer", "kvm2", state="running")
    between = ("kvm2", "kvm3")
    bandwidth_mib_s = 16


class MoveOff(_OwnMove):
    name = "move while off"
    actor = Actor("sleeper", "kvm1", mib=64)
    between = ("kvm1", "kvm2")

"""What a deed is: something that an operator asks for, and that takes a while."""

from __future__ import annotations

from typing import ClassVar

from tests.survival.picture import IMAGES, Picture
from tests.survival.stage import Actor, Stage
from vmdash.jobs.models import Job


class Deed:
    """One sort of job with objects of its own, all of which are called `own` or begin so.

    A new sort is a subclass: how to ask for it, and what hosts have when it is done. Everything else is as before.
    """

    name: str
    """For reports: "move with its disk"."""
    own: str
    cancellable = True
    may_be_unclear = False
    """After an accident neither done nor undone can be told, and it says so."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        stage.own.add(self.own)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def is_ready(self, now: Picture) -> bool:
        """Whether it can be asked for as things are."""
        raise NotImplementedError

    def make_ready(self) -> None:
        """Make its objects; there are none at this moment."""
        raise NotImplementedError

    def made(self, now: Picture) -> None:
        """They are as they should be: the deed may remember that."""

    def remake(self, now: Picture) -> None:
        """Take away what there is of its objects, and make them anew."""
        self.stage.clear(self.own, now)
        self.make_ready()

    def ask(self, now: Picture) -> Job:
        """Ask for it, as a view would."""
        raise NotImplementedError

    def done(self, before: Picture, job: Job) -> Picture:
        """What there is of its objects when it has come about."""
        raise NotImplementedError

    def left(self, before: Picture, job: Job) -> Picture:
        """What there is of them when it failed or was cancelled: what there was."""
        return before.of(self.own)

    def check(self, job: Job, now: Picture, *, came_about: bool) -> None:
        """What a picture does not show: the content of files, and what rows say. Fails with what is wrong."""

    def rest(self, now: Picture) -> None:
        """After each test: put back what others need."""

    def leave(self, now: Picture) -> None:
        """Take away what it has made, after the last test."""
        self.stage.clear(self.own, now)


class GuestDeed(Deed):
    """One about a guest of its own."""

    actor: Actor
    _fresh: ClassVar[dict[str, Picture]] = {}
    """What each guest is like when it is as it should be."""

    def __init__(self, stage: Stage) -> None:
        self.own = self.actor.name
        super().__init__(stage)

    @property
    def home(self) -> str:
        return self.actor.home

    @property
    def at_home(self) -> str:
        """How pictures call the guest at its home."""
        return f"{self.own}@{self.home}"

    def file(self, name: str) -> str:
        """A file at its home, as pictures call it."""
        return f"{self.home}/images/{name.rpartition('/')[2]}"

    def paths(self, *names: str) -> tuple[str, ...]:
        """What `Picture.disks` says of a guest whose disks are these files, now and at its next start."""
        return tuple(f"{IMAGES}/{name}" for name in names) * 2

    def is_ready(self, now: Picture) -> bool:
        return self._fresh.get(self.own) == now.of(self.own)

    def make_ready(self) -> None:
        self.stage.make(self.actor)

    def made(self, now: Picture) -> None:
        self._fresh[self.own] = now.of(self.own)

"""Cloning guests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domains.cloning import services
from domains.cloning.proposal import Wish
from domains.models import Domain
from tests.survival.deed import GuestDeed
from tests.survival.picture import Picture
from tests.survival.stage import Actor
from vmdash.jobs.models import Job


class Clone(GuestDeed):
    target = ""
    """The host of the clone; its home when empty."""
    linked = False

    names: tuple[str, ...] = ("twin",)
    """Of the clones: what is added to the source's."""

    @property
    def clones(self) -> list[str]:
        return [f"{self.own}-{name}" for name in self.names]

    def ask(self, now: Picture) -> Job:
        domain = self.stage.domain(self.own)
        if self.linked:
            Domain.objects.filter(pk=domain.pk).update(is_template=True)
            domain.refresh_from_db()
        host = self.stage.rows[self.target or self.home]
        wish = Wish(names=self.clones, host=host, linked=self.linked, pool="default")
        return services.clone(domain=domain, wish=wish, user=self.stage.user)

    def done(self, before: Picture, job: Job) -> Picture:
        return self._with(before, [job.parameters["clone"]])

    def _with(self, before: Picture, clones: Sequence[dict[str, Any]]) -> Picture:
        """What there is when these are made."""
        host, own = self.target or self.home, before.of(self.own)
        for one in clones:
            files = one["volumes"].values()
            own = own.changed(
                guests={one["name"]: {host: "shut off"}},
                disks={f"{one['name']}@{host}": self.paths(*files)},
                add=[f"{host}/images/{file}" for file in files],
            )
        return own

    def check(self, job: Job, now: Picture, *, came_about: bool) -> None:
        if came_about and len(self.names) == 1:
            for target, name in job.parameters["clone"]["volumes"].items():
                copy = f"{self.target or self.home}/images/{name}"
                if not self.linked:
                    assert self.stage.same_content(self.file(self.actor.file(target)), copy), f"{copy} is not whole"


class CloneFull(Clone):
    name = "full clone"
    actor = Actor("mother", "kvm1", mib=48, disks=2)


class CloneElsewhere(Clone):
    name = "full clone of an overlay, on another host"
    actor = Actor("layered", "kvm2", mib=48, layered=True)
    target = "kvm3"

    def check(self, job: Job, now: Picture, *, came_about: bool) -> None:
        if came_about:
            (name,) = job.parameters["clone"]["volumes"].values()
            below, copy = self.file(f"{self.own}-below.qcow2"), f"{self.target}/images/{name}"
            assert self.stage.same_content(below, copy), f"{copy} is not whole"


class CloneLinked(Clone):
    name = "linked clone"
    actor = Actor("mould", "kvm2", disks=3)
    linked = True


class CloneRunning(Clone):
    name = "full clone of a guest that runs"
    actor = Actor("actress", "kvm1", mib=48, state="running")


class CloneMany(Clone):
    """Those that were through before it was interrupted stay; each is a job of its own."""

    name = "several linked clones"
    actor = Actor("press", "kvm1")
    linked = True
    names = ("1", "2", "3")

    def done(self, before: Picture, job: Job) -> Picture:
        return self._with(before, job.parameters["clones"])

    def left(self, before: Picture, job: Job) -> Picture:
        made = job.children.filter(state=Job.State.SUCCEEDED)
        return self._with(before, [part.parameters["clone"] for part in made])

"""Draining a host. It takes along all guests that the host has, so it gets rounds of its own."""

from __future__ import annotations

from typing import ClassVar

from domains.draining import services
from domains.draining.models import Drain, DrainedGuest
from domains.draining.plan import Policy, plan_drain
from hosts.models import Host
from tests.survival.deed import Deed
from tests.survival.moves import moved
from tests.survival.picture import Picture
from tests.survival.stage import Actor
from vmdash.jobs.models import Job

OPEN = ("planned", "begun")


class DrainHost(Deed):
    """Each guest is where the record says, and the host is no longer being drained."""

    name, own, home = "drain of a host", "evacuee", "kvm2"
    actors = (
        Actor("evacuee-1", "kvm2", mib=12, state="running"),
        Actor("evacuee-2", "kvm2", mib=12, state="running"),
        Actor("evacuee-3", "kvm2", mib=12),
    )
    _fresh: ClassVar[dict[str, Picture]] = {}

    def is_ready(self, now: Picture) -> bool:
        return self._fresh.get(self.own) == now.of(self.own)

    def make_ready(self) -> None:
        for actor in self.actors:
            self.stage.make(actor)

    def made(self, now: Picture) -> None:
        self._fresh[self.own] = now.of(self.own)

    def ask(self, now: Picture) -> Job:
        Drain.objects.all().delete()  # the one before is over
        Host.objects.update(maintenance=Host.Maintenance.NONE)
        host, policy = Host.objects.get(pk=self.stage.rows[self.home].pk), Policy()
        plan = plan_drain(host, policy, self.stage.user)
        assert [step.how.is_move for step in plan.steps] == [True] * len(self.actors), plan.summary
        return services.drain(host=host, policy=policy, mark=plan.mark, user=self.stage.user)

    def done(self, before: Picture, job: Job) -> Picture:
        now = before.of(self.own)
        for step in DrainedGuest.objects.filter(drain=job.parameters["drain"], outcome="done"):
            now = moved(now, step.name, step.target_name)
        return now

    def left(self, before: Picture, job: Job) -> Picture:
        return self.done(before, job)

    def check(self, job: Job, now: Picture, *, came_about: bool) -> None:
        outcomes = set(DrainedGuest.objects.values_list("outcome", flat=True))
        assert not outcomes.intersection(OPEN), outcomes
        assert outcomes == {"done"} or not came_about, outcomes
        maintenance = Host.objects.get(name=self.home).maintenance
        assert maintenance == "maintenance" if came_about else maintenance in ("maintenance", "none"), maintenance

"""A round: deeds that are asked for, an accident in the midst of them, and what must be true afterwards."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pytest

from tests.polling import PATIENCE, poll
from tests.survival.deed import Deed
from tests.survival.picture import Picture
from tests.survival.stage import Stage, at_once
from vmdash.exceptions import VmdashError
from vmdash.jobs import execution, liveness, recovery, services
from vmdash.jobs.models import Job
from vmdash.live.redis import PREFIX, client

PAUSE_S = 0.7
"""Between two recoveries."""
EARLIEST, LATEST = 0.02, 0.98
"""Of a deed's usual duration."""


@dataclass
class Attempt:
    """One deed in a round. `fraction` of its usual duration has passed at the accident."""

    deed: Deed
    fraction: float
    job: Job | None = None
    at: str = ""
    """How far it was then, for reports."""

    def look(self) -> Job:
        assert self.job is not None
        self.job.refresh_from_db()
        return self.job

    def note(self) -> None:
        if self.job is not None:
            last = self.look().lines.last()
            self.at = f"{self.fraction:.0%}, {self.job.state}, {last.text if last else 'no line yet'}"


@dataclass
class Rounds:
    """All rounds of one test: what they share, and a count of what was struck."""

    stage: Stage
    deeds: Sequence[Deed]
    usual_s: dict[str, float]
    chance: random.Random
    seed: int
    others: Picture = field(default_factory=Picture)
    """What belongs to no deed: nobody may change it."""

    def set_up(self) -> Picture:
        """Have every deed ready, and the rows as the hosts are."""
        now = self.stage.picture()
        stale = [deed for deed in self.deeds if not deed.is_ready(now)]
        at_once([partial(deed.remake, now) for deed in stale])
        self.stage.refresh()
        now = self.stage.picture()
        for deed in stale:
            deed.made(now)
        self.others = now.without(self.stage.own)
        self.stage.look()
        return now

    def undisturbed(self) -> None:
        """Each deed once, all together, to know how long they take."""
        before = self.set_up()
        began = time.monotonic()
        attempts = [Attempt(deed, 1, deed.ask(before)) for deed in self.deeds]

        def all_ended() -> bool:
            for one in attempts:
                if one.deed.name not in self.usual_s and one.look().finished_at:
                    self.usual_s[one.deed.name] = time.monotonic() - began
            return all(one.deed.name in self.usual_s for one in attempts)

        poll(all_ended, 120, "all deeds to end")
        self.check(before, attempts)
        for one in attempts:
            assert one.look().state == "succeeded", (one.deed, one.job and one.job.error)

    def get_used(self) -> None:
        """Know how long each deed takes, by doing it once where that is not known."""
        if not all(deed.name in self.usual_s for deed in self.deeds):
            self.undisturbed()

    def struck(self, strike: Callable[[], None], *, mend: Callable[[], None] | None = None, dead: bool = False) -> None:
        """The accident happens to all deeds at once, to each at another fraction of its duration. `dead`: their worker
        has died by it."""
        before = self.set_up()
        attempts = [Attempt(deed, self._fraction()) for deed in self.deeds]
        latest = max(one.fraction * self.usual_s[one.deed.name] for one in attempts)
        plan = [
            (latest - one.fraction * self.usual_s[one.deed.name], partial(self._begin, one, before)) for one in attempts
        ]
        self._play([*plan, (latest, strike)])
        for one in attempts:
            one.note()
        if mend is not None:
            mend()
        self.recover(attempts, dead=dead)
        self.check(before, attempts)

    def cancelled(self) -> None:
        """All are asked for, and each is cancelled at another fraction of its duration."""
        before = self.set_up()
        attempts = [Attempt(deed, self._fraction()) for deed in self.deeds if deed.cancellable]
        for one in attempts:
            self._begin(one, before)
        self._play([
            (one.fraction * self.usual_s[one.deed.name], partial(self._cancel, one))
            for one in attempts
        ])  # fmt: skip
        self.recover(attempts)
        self.check(before, attempts)

    def rest(self) -> None:
        """After a test, however it ended."""
        now = self.stage.picture()
        for deed in self.deeds:
            deed.rest(now)

    def _fraction(self) -> float:
        return self.chance.uniform(EARLIEST, LATEST)

    def _begin(self, one: Attempt, before: Picture) -> None:
        one.job = one.deed.ask(before)

    def _cancel(self, one: Attempt) -> None:
        one.note()
        assert one.job is not None
        try:
            services.cancel(job=one.job, user=self.stage.user)
        except VmdashError as refused:  # it has just ended
            one.at += f" ({refused.message})"

    def _play(self, plan: Sequence[tuple[float, Callable[[], None]]]) -> None:
        began = time.monotonic()
        for due_s, act in sorted(plan, key=lambda step: step[0]):
            _until(began + due_s)
            act()

    def recover(self, attempts: Sequence[Attempt], *, dead: bool = False, within_s: float = 90) -> None:
        """What the scheduler does, until all jobs have ended; it does not wait as long before it believes an end."""
        if dead:
            _let_claims_expire()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(liveness, "EXPIRE_S", 0)
            patch.setattr(recovery, "QUEUED_GRACE_S", 0)
            if dead:  # nobody is left whose claims might only be missing for a moment
                patch.setattr(liveness, "REFRESH_S", 0.05)
            end = time.monotonic() + within_s * PATIENCE
            while left := [one for one in attempts if not one.look().finished_at]:
                if time.monotonic() > end:
                    raise AssertionError(f"{self._title()}: left as they are: {[self._told(one) for one in left]}")
                recovery.recover()
                _until(time.monotonic() + PAUSE_S, or_ended=left)

    def check(self, before: Picture, attempts: Sequence[Attempt]) -> None:
        """Every guest runs exactly once, what each job says is true, and nothing is left that nobody knows."""
        now = self.stage.picture()
        wrong = [words for one in attempts if (words := self._wrong(one, before, now))]
        others = now.without(self.stage.own)
        if others != self.others:
            wrong.append(f"what is nobody's has changed: {_difference(self.others, others)}")
        wrong += [f"{name} runs twice: {states}" for name, states in now.guests.items() if _runs(states) > 1]
        unfinished = Job.objects.unfinished()
        wrong += [f"{job.label} is {job.state}" for job in unfinished]
        assert not wrong, "\n".join([self._title(), *wrong])

    def _wrong(self, one: Attempt, before: Picture, now: Picture) -> str:
        job, deed = one.look(), one.deed
        mine, done = now.of(deed.own), deed.done(before, job)
        came_about = job.state == "succeeded" or (job.state == "reconciled" and mine == done)
        expected = done if came_about else deed.left(before, job)
        problem = ""
        if job.state == "reconciled" and not deed.may_be_unclear:
            problem = "it says that it does not know"
        elif job.state == "failed" and (not job.error or execution.BUG in job.error):
            problem = "it does not say why it failed"
        elif mine != expected:
            problem = f"it says {job.state}, but {_difference(expected, mine)}"
        elif job.state != "reconciled":
            try:
                deed.check(job, mine, came_about=came_about)
            except (AssertionError, OSError, ValueError, VmdashError) as error:
                problem = f"it says {job.state}, but {error}"
        return f"{self._told(one)}: {problem}" if problem else ""

    def _told(self, one: Attempt) -> str:
        job = one.look()
        log = " | ".join(job.lines.values_list("text", flat=True))
        return f"{one.deed.name} (struck at {one.at}; {job.state} {job.phase} {job.error} {job.error_detail}; {log})"

    def _title(self) -> str:
        return f"with VMDASH_TEST_SEED={self.seed}"


def _let_claims_expire() -> None:
    """As time would, after a worker's end."""
    for key in client().scan_iter(f"{PREFIX}:job-alive:*"):
        client().delete(key)


def _until(moment: float, *, or_ended: Sequence[Attempt] = ()) -> None:
    """Let time pass, as a deed's duration and the scheduler's period are times; or until these have ended."""

    def is_due() -> bool:
        return time.monotonic() >= moment or (bool(or_ended) and all(one.look().finished_at for one in or_ended))

    poll(is_due, 600, "the next moment")


def _runs(states: Mapping[str, str]) -> int:
    return sum(state not in ("shut off", "crashed") for state in states.values())


def _difference(expected: Picture, found: Picture) -> str:
    said = []
    for name in ("guests", "disks", "snapshots"):
        old, new = getattr(expected, name), getattr(found, name)
        said += [
            f"{name} of {key}: {new.get(key)} instead of {old.get(key)}"
            for key in {*old, *new}
            if old.get(key) != new.get(key)
        ]
    said += [f"{file} is there" for file in sorted(found.files - expected.files)]
    said += [f"{file} is gone" for file in sorted(expected.files - found.files)]
    return "; ".join(said)

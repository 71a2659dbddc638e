"""What the scheduler does every minute, with a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

import pytest
import time_machine

from domains.models import Domain
from domains.snapshots import services
from domains.snapshots.models import ScheduledSnapshot, Snapshot, SnapshotSchedule
from domains.snapshots.schedules import ticking
from domains.snapshots.schedules.overview import PATIENCE, lines_of, state_of
from hosts.models import Host
from tests.factories import DomainFactory, JobFactory, ScheduleFactory, SnapshotFactory, TagFactory
from vmdash.celery import app
from vmdash.exceptions import Conflict
from vmdash.jobs.models import Job
from vmdash.main import cleanup, tasks

pytestmark = pytest.mark.django_db

TWO = datetime(2024, 11, 27, 2, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
DISKS = [
    {
        "target": "vda", "bus": "virtio", "device": "disk", "source": "/images/web1.qcow2", "format": "qcow2",
        "readonly": False, "backing": [],
    }
]  # fmt: skip


@pytest.fixture
def web1() -> Domain:
    return DomainFactory.create(name="web1", disks=DISKS)


@pytest.fixture
def nightly(web1: Domain) -> SnapshotSchedule:
    return ScheduleFactory.create(name="nightly", domain=web1, at=time(2), keep_last=2, handled_until=TWO - DAY)


def finish(job: Job, state: str = "succeeded", at: datetime = TWO, **fields: object) -> None:
    """What a worker does, in brief."""
    Job.objects.filter(pk=job.pk).update(state=state, finished_at=at, **fields)
    if state != "succeeded":
        return
    if job.kind == "snapshot.create":
        SnapshotFactory.create(domain_id=job.target_id, name=job.parameters["name"], created_at=at)
    else:
        Snapshot.objects.filter(domain_id=job.target_id, name=job.parameters["snapshot"]).delete()


def work(at: datetime) -> list[str]:
    """All jobs that wait are done. Returns their labels' first words."""
    jobs = list(Job.objects.unfinished())
    for job in jobs:
        finish(job, at=at)
    return [job.label.split()[0] for job in jobs]


def names(domain: Domain) -> set[str]:
    return set(domain.snapshots.values_list("name", flat=True))


def test_a_snapshot_is_asked_for_when_its_time_has_come(nightly: SnapshotSchedule, web1: Domain) -> None:
    nightly.handled_until = TWO - MINUTE
    nightly.save()
    ticking.tick(TWO - timedelta(seconds=1))
    assert not Job.objects.exists()
    ticking.tick(TWO + timedelta(seconds=30))
    job = Job.objects.get()
    assert (job.kind, job.requested_by, job.target_name) == ("snapshot.create", None, "web1")
    assert job.parameters["name"].startswith("web1-") and job.parameters["name"].endswith("-nightly")
    run = ScheduledSnapshot.objects.get()
    assert (run.due_at, run.job, run.snapshot_name) == (TWO, job, job.parameters["name"])
    ticking.tick(TWO + 2 * MINUTE)
    work(TWO)
    ticking.tick(TWO + 3 * MINUTE)
    assert Job.objects.count() == 1


def test_all_guests_with_the_tag_but_no_templates() -> None:
    tag = TagFactory.create(name="prod")
    schedule = ScheduleFactory.create(domain=None, tag=tag, handled_until=TWO - DAY)
    for name in ("a", "b", "template", "gone"):
        guest = DomainFactory.create(name=name, disks=DISKS, is_template=name == "template")
        guest.tags.add(tag)
    Domain.objects.filter(name="gone").update(gone_at=TWO)
    DomainFactory.create(name="other", disks=DISKS)
    ticking.tick(TWO)
    assert set(Job.objects.values_list("target_name", flat=True)) == {"a", "b"}
    assert state_of(schedule, TWO).guests == 2


def test_a_missed_time_is_not_made_up_for_but_told(nightly: SnapshotSchedule) -> None:
    ticking.tick(TWO + 3 * DAY + PATIENCE)
    assert not Job.objects.exists()
    run = ScheduledSnapshot.objects.get()
    assert (run.due_at, run.problem) == (TWO + 3 * DAY, ticking.NOT_RUNNING)
    ticking.tick(TWO + 4 * DAY)
    assert Job.objects.count() == 1


def test_a_disabled_one_takes_and_deletes_nothing(nightly: SnapshotSchedule, web1: Domain) -> None:
    for day in range(4):
        taken_on(nightly, web1, TWO - day * DAY)
    SnapshotSchedule.objects.update(enabled=False)
    ticking.tick(TWO + DAY)
    assert not Job.objects.exists()


def test_a_busy_guest_is_tried_again_for_a_while(nightly: SnapshotSchedule, web1: Domain) -> None:
    other = JobFactory.create(domain=web1)
    ticking.tick(TWO)
    assert "web1 is busy" in ScheduledSnapshot.objects.get().problem
    assert state_of(nightly, TWO).problems[0][0] == "web1"
    finish(other, "failed")
    ticking.tick(TWO + MINUTE)
    run = ScheduledSnapshot.objects.get()
    assert (run.problem, run.job is not None) == ("", True)


def test_after_that_the_problem_stays(nightly: SnapshotSchedule, web1: Domain) -> None:
    Host.objects.update(state=Host.State.UNREACHABLE)
    ticking.tick(TWO)
    Host.objects.update(state=Host.State.UP)
    ticking.tick(TWO + PATIENCE)
    assert not Job.objects.exists()
    assert "does not answer" in ScheduledSnapshot.objects.get().problem


def test_two_schedules_of_one_guest_at_the_same_time(nightly: SnapshotSchedule, web1: Domain) -> None:
    ScheduleFactory.create(name="second", domain=web1, at=time(2), handled_until=TWO - DAY)
    ticking.tick(TWO)
    assert Job.objects.count() == 1
    work(TWO)
    ticking.tick(TWO + MINUTE)
    work(TWO + MINUTE)
    assert {name.rpartition("-")[2] for name in names(web1)} == {"nightly", "second"}
    assert not ScheduledSnapshot.objects.exclude(problem="").exists()


def test_a_failed_job_is_a_problem_of_the_schedule(nightly: SnapshotSchedule) -> None:
    ticking.tick(TWO)
    finish(Job.objects.get(), "failed", error="The pool is full.")
    assert state_of(nightly, TWO).problems == [("web1", "The pool is full.")]


def test_one_guest_that_cannot_be_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    tag = TagFactory.create()
    ScheduleFactory.create(domain=None, tag=tag, handled_until=TWO - DAY)
    for name in ("a", "b", "c"):
        DomainFactory.create(name=name, disks=DISKS if name != "b" else []).tags.add(tag)
    usual = services.take

    def take(**given: object) -> Job:
        if getattr(given["domain"], "name", "") == "a":
            raise RuntimeError("odd")
        return usual(**given)  # type: ignore[arg-type]

    monkeypatch.setattr(services, "take", take)
    ticking.tick(TWO)
    found = dict(ScheduledSnapshot.objects.values_list("domain__name", "problem"))
    assert "odd" in found["a"]
    assert "no disk" in found["b"]
    assert found["c"] == ""


def test_a_guest_that_is_off_has_no_memory_to_keep(web1: Domain) -> None:
    Domain.objects.update(state="shut_off")
    ScheduleFactory.create(domain=web1, kind="files", handled_until=TWO - DAY)
    ticking.tick(TWO)
    assert Job.objects.get().parameters["kind"] == "disks"


class TestTwoSchedulersAtOnce:
    def test_a_time_is_opened_once(self, nightly: SnapshotSchedule) -> None:
        same = SnapshotSchedule.objects.get()
        ticking.open_times(nightly, TWO)
        ticking.open_times(same, TWO + MINUTE)
        assert ScheduledSnapshot.objects.count() == 1

    @pytest.mark.parametrize("change", [{"enabled": False}, {"handled_until": TWO + MINUTE}])
    def test_one_that_somebody_has_just_changed_is_left_alone(
        self, change: dict[str, object], nightly: SnapshotSchedule
    ) -> None:
        SnapshotSchedule.objects.update(**change)
        ticking.open_times(nightly, TWO)
        assert not ScheduledSnapshot.objects.exists()

    def test_a_snapshot_that_the_other_has_asked_for_and_got_is_not_taken_twice(
        self, nightly: SnapshotSchedule, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._meanwhile(monkeypatch)
        ticking.tick(TWO)
        assert Job.objects.count() == Snapshot.objects.count() == 1

    def test_nor_is_one_deleted_twice(
        self, nightly: SnapshotSchedule, web1: Domain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for day in range(3):
            taken_on(nightly, web1, TWO - day * DAY)
        SnapshotSchedule.objects.update(handled_until=TWO)
        self._meanwhile(monkeypatch)
        ticking.tick(TWO)
        assert Job.objects.count() == 1

    @staticmethod
    def _meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
        """Right before the first scheduler asks for something, another does all of its work, and so do the workers."""
        usual = ticking._ask

        def late(ask: Callable[[], bool]) -> str:
            monkeypatch.setattr(ticking, "_ask", usual)
            ticking.tick(TWO)
            assert work(TWO)
            return usual(ask)

        monkeypatch.setattr(ticking, "_ask", late)


def taken_on(schedule: SnapshotSchedule, domain: Domain, due: datetime, **fields: object) -> ScheduledSnapshot:
    """A snapshot that it took."""
    name = f"{domain.name}-{due:%Y%m%d}-{schedule.name}"
    SnapshotFactory.create(domain=domain, name=name, **fields)
    return ScheduledSnapshot.objects.create(schedule=schedule, domain=domain, due_at=due, snapshot_name=name)


class TestPruning:
    def test_over_a_week_there_are_never_more_than_it_keeps(self, nightly: SnapshotSchedule, web1: Domain) -> None:
        mine = SnapshotFactory.create(domain=web1, name="by-hand")
        for day in range(7):
            for minute in range(3):
                with time_machine.travel(TWO + day * DAY + minute * MINUTE):  # snapshots are called after the time
                    ticking.tick(TWO + day * DAY + minute * MINUTE)
                work(TWO + day * DAY)
            assert len(names(web1)) <= 3
        assert mine.name in names(web1)
        assert [line.run.due_at for line in lines_of(nightly, [web1])[web1.pk]] == [TWO + 6 * DAY, TWO + 5 * DAY]

    def test_the_oldest_goes_first_and_one_at_a_time(self, nightly: SnapshotSchedule, web1: Domain) -> None:
        for day in range(5):
            taken_on(nightly, web1, TWO - day * DAY)
        SnapshotSchedule.objects.update(handled_until=TWO)
        ticking.tick(TWO + MINUTE)
        ticking.tick(TWO + 2 * MINUTE)
        assert [job.parameters["snapshot"] for job in Job.objects.all()] == ["web1-20241123-nightly"]
        for minute in range(3, 9):
            work(TWO)
            ticking.tick(TWO + minute * MINUTE)
        assert names(web1) == {"web1-20241127-nightly", "web1-20241126-nightly"}

    def test_what_is_still_being_taken_does_not_count(self, nightly: SnapshotSchedule, web1: Domain) -> None:
        for day in (1, 2):
            taken_on(nightly, web1, TWO - day * DAY)
        ticking.tick(TWO)
        SnapshotFactory.create(domain=web1, name=Job.objects.get().parameters["name"])
        assert all(line.stays for line in lines_of(nightly, [web1])[web1.pk])

    def test_a_half_merged_one_is_of_no_use(self, nightly: SnapshotSchedule, web1: Domain) -> None:
        taken_on(nightly, web1, TWO, half_merged=True)
        taken_on(nightly, web1, TWO - DAY)
        found = lines_of(nightly, [web1])[web1.pk]
        assert [line.stays for line in found] == [False, True]

    def test_a_failed_attempt_is_told_and_made_again_later(self, nightly: SnapshotSchedule, web1: Domain) -> None:
        for day in range(3):
            taken_on(nightly, web1, TWO - day * DAY)
        SnapshotSchedule.objects.update(handled_until=TWO)
        ticking.tick(TWO + MINUTE)
        finish(Job.objects.get(), "failed", TWO + MINUTE, error="A clone stands on it.")
        ticking.tick(TWO + timedelta(hours=1))
        assert Job.objects.count() == 1
        oldest = lines_of(nightly, [web1])[web1.pk][-1]
        assert ticking.why_waiting(web1, oldest) == "A clone stands on it."
        assert state_of(nightly, TWO).undeleted == 1
        ticking.tick(TWO + timedelta(hours=8))
        assert Job.objects.count() == 2

    def test_of_guests_that_it_is_not_for_any_more_nothing_goes(self, web1: Domain) -> None:
        tag = TagFactory.create()
        web1.tags.add(tag)
        schedule = ScheduleFactory.create(domain=None, tag=tag, keep_last=1, handled_until=TWO)
        for day in range(3):
            taken_on(schedule, web1, TWO - day * DAY)
        web1.tags.clear()
        ticking.tick(TWO + MINUTE)
        assert not Job.objects.exists()

    def test_an_unreachable_host_is_why_it_waits(self, nightly: SnapshotSchedule, web1: Domain) -> None:
        for day in range(3):
            taken_on(nightly, web1, TWO - day * DAY)
        Host.objects.update(state=Host.State.UNREACHABLE)
        SnapshotSchedule.objects.update(handled_until=TWO)
        ticking.tick(TWO + MINUTE)
        web1.refresh_from_db()
        oldest = lines_of(nightly, [web1])[web1.pk][-1]
        assert "does not answer" in ticking.why_waiting(web1, oldest)


def test_the_scheduler_calls_it_every_minute(nightly: SnapshotSchedule) -> None:
    entry = app.conf.beat_schedule["snapshots"]
    assert (entry["task"], entry["schedule"]) == (tasks.snapshots.name, 60)
    tasks.snapshots()
    assert ScheduledSnapshot.objects.count() == 1


def test_what_was_seen_to_is_forgotten_after_a_while(nightly: SnapshotSchedule, web1: Domain) -> None:
    kept = taken_on(nightly, web1, TWO - 100 * DAY)
    ScheduledSnapshot.objects.create(schedule=nightly, domain=web1, due_at=TWO - 99 * DAY, problem="busy")
    cleanup.clean_up()
    assert list(ScheduledSnapshot.objects.all()) == [kept]


def test_what_the_services_refuse_is_a_conflict(web1: Domain) -> None:
    """The scheduler relies on it."""
    Host.objects.update(enabled=False)
    web1.refresh_from_db()
    with pytest.raises(Conflict):
        services.take(domain=web1, user=None, kind="disks")  # type: ignore[arg-type]

"""From the page or the schedule through a real worker to a real libvirtd, whose guests are those of the test driver."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from domains.models import Domain
from domains.snapshots.models import ScheduledSnapshot, Snapshot
from domains.snapshots.schedules import ticking
from tests.factories import ScheduleFactory
from tests.libvirtd import TestDriverHost
from tests.polling import poll
from tests.process_fixtures import KnownGuest
from vmdash.jobs.models import Job
from vmdash.virt.guest import Guest
from vmdash.virt.snapshot import snapshots

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


@pytest.fixture
def live(libvirtd: TestDriverHost, known_guest: KnownGuest) -> tuple[Domain, Guest]:
    domain = known_guest("web1", running=True)
    return domain, libvirtd.connection.guest(str(domain.uuid))


def ended() -> Job:
    """The newest job, once it has."""
    job: Job = Job.objects.latest("created_at")
    poll(lambda: Job.objects.filter(pk=job.pk).exclude(finished_at=None).exists(), 15, f"{job.label} to end")
    job.refresh_from_db()
    assert (job.state, job.error) == ("succeeded", "")
    return job


def names(guest: Guest) -> list[str]:
    return sorted(one.name for one in snapshots(guest))


def test_the_pages_take_revert_and_delete(live: tuple[Domain, Guest], operator_client: Client) -> None:
    domain, guest = live
    home = f"/domains/{domain.pk}/snapshots/"
    for note in ("one", "two"):
        operator_client.post(f"{home}take/", {"do": "take", "kind": "internal", "note": note})
        ended()
    one, two = Snapshot.objects.order_by("pk")
    assert names(guest) == sorted([one.name, two.name])
    assert (two.parent_name, two.current) == (one.name, True)
    operator_client.post(f"{home}{one.pk}/revert/", {"confirm": "web1"})
    ended()
    page = operator_client.get(home).content.decode()
    assert page.index(one.name) < page.index("you are here") < page.index(two.name)
    for snapshot in (one, two):
        operator_client.post(f"{home}{snapshot.pk}/delete/")
        ended()
    assert names(guest) == []
    assert "No snapshots" in operator_client.get(home).content.decode()


def test_a_schedule_takes_them_and_lets_old_ones_go(live: tuple[Domain, Guest], viewer_client: Client) -> None:
    domain, guest = live
    now = timezone.now().replace(second=0, microsecond=0)
    schedule = ScheduleFactory.create(
        domain=domain,
        kind="internal",
        at=timezone.localtime(now).time(),
        keep_last=1,
        handled_until=now - timedelta(minutes=1),
    )
    for day in range(2):
        ticking.tick(now + timedelta(days=day))
        ended()
    assert len(names(guest)) == 2
    assert "not one of the last 1" in viewer_client.get(f"/domains/{domain.pk}/snapshots/").content.decode()
    ticking.tick(now + timedelta(days=1, minutes=1))
    ended()
    newest = ScheduledSnapshot.objects.get(due_at=now + timedelta(days=1))
    assert names(guest) == [newest.snapshot_name]
    assert schedule.runs.count() == 2

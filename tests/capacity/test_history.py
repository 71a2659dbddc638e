"""From raw counters in a real history store to what the page shows."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest
from pytest_django import Settings

from domains.capacity import history, outlooks
from domains.capacity.history import tick
from domains.capacity.models import CapacityRecord, GuestUse, Outlook
from domains.capacity.outlooks import busiest_of_days, foreseen, quantile, together
from domains.capacity.shares import Share, by_day, mean_share, share_of_days
from domains.capacity.stores import distinct
from domains.capacity.words import foresight
from storage.models import Storage
from tests.factories import DomainFactory, HostFactory, PoolFactory, SiteFactory
from tests.polling import poll
from vmdash.metrics.hourly import record_hour
from vmdash.metrics.query import values_at

pytestmark = pytest.mark.django_db

NAN = math.nan
HOUR = timedelta(hours=1)


@pytest.fixture(params=["now", "when a day's first hours end"])
def now(request: pytest.FixtureRequest) -> datetime:
    """Also where the hour that is recorded ends with its day: stores keep an index of series for each day."""
    if request.param == "now":
        return datetime.now(UTC)
    return (datetime.now(UTC) - 2 * HOUR).replace(hour=1, minute=2)


@pytest.fixture
def store(empty_history: str) -> str:
    return empty_history


def write(store: str, lines: list[str]) -> None:
    httpx.post(f"{store}/api/v1/import/prometheus", content="\n".join(lines)).raise_for_status()
    httpx.get(f"{store}/internal/force_flush").raise_for_status()


def counters(guest: str, hours: int, now: datetime) -> Iterator[str]:
    """A host with 8 CPUs of which 3 are busy and 10 of 16 GiB used; a guest of it that uses 1.5 and waits for 0.5."""
    start = now - hours * HOUR
    for second in range(0, hours * 3600 + 1, 60):
        at = round((start.timestamp() + second) * 1000)
        labels = f'host="kvm1",domain="web1",uuid="{guest}"'
        yield f'libvirt_up{{host="kvm1"}} 1 {at}'
        yield f'vmdash_host_vcpus{{host="kvm1"}} 2 {at}'
        for mode, share in (("user", 2.0), ("system", 1.0), ("idle", 5.0)):
            yield f'libvirt_node_cpu_seconds_total{{host="kvm1",mode="{mode}"}} {second * share} {at}'
        for kind, gib in (("total", 16), ("free", 5), ("cached", 1)):
            yield f'libvirt_node_memory_{kind}_bytes{{host="kvm1"}} {gib * 1024**3} {at}'
        for vcpu, used, waited in ((0, 1.0, 0.5), (1, 0.5, 0.0)):
            yield f'libvirt_domain_vcpu_time_seconds_total{{{labels},vcpu="{vcpu}"}} {second * used} {at}'
            yield f'libvirt_domain_vcpu_delay_seconds_total{{{labels},vcpu="{vcpu}"}} {second * waited} {at}'
        yield f"libvirt_domain_memory_stats_available_bytes{{{labels}}} {4 * 1024**3} {at}"
        yield f"libvirt_domain_memory_stats_usable_bytes{{{labels}}} {1 * 1024**3} {at}"
        yield f"libvirt_domain_memory_stats_swap_in_bytes_total{{{labels}}} {second * 100} {at}"


def record_and_work_out(store: str, now: datetime) -> None:
    tick(now)
    httpx.get(f"{store}/internal/force_flush").raise_for_status()
    tick(now)


def test_counters_become_hours_and_hours_become_use(store: str, now: datetime) -> None:
    host = HostFactory.create(name="kvm1", site=SiteFactory.create(name="Lyon"))
    guest = DomainFactory.create(host=host, name="web1", vcpus=2, max_memory_kib=4 * 1024**2)
    PoolFactory.create(host=host, name="images")
    CapacityRecord.objects.create(pk=1, recorded_until=history._hour(now) - 6 * HOUR)
    write(store, list(counters(str(guest.pk), 8, now)))
    record_and_work_out(store, now)
    use = GuestUse.objects.get(domain=guest)
    assert use.hours == 5  # the hour before the one that goes on may still get counters
    assert use.cpu_mean == pytest.approx(1.5, rel=0.01)
    assert use.cpu_peak == pytest.approx(1.5, rel=0.05)
    assert use.steal_mean == pytest.approx(0.5, rel=0.01)
    assert use.memory_peak_bytes == 3 * 1024**3
    assert use.swap_in_bytes_per_s == pytest.approx(100, rel=0.01)
    found = {(row.scope, row.key, row.resource): row for row in Outlook.objects.all()}
    for scope, key in (("fleet", ""), ("site", "Lyon"), ("host", str(host.pk))):
        assert found[scope, key, "cpu"].mean == pytest.approx(3.0, rel=0.01)
        assert found[scope, key, "cpu"].limit == pytest.approx(0.9 * 8)
        assert found[scope, key, "memory"].mean == pytest.approx(10 * 1024**3)
        assert found[scope, key, "given"].mean == 4 * 1024**3
        assert found[scope, key, "steal"].mean == pytest.approx(0.5, rel=0.01)
        assert found[scope, key, "storage"].mean == 50 * 1024**3
        assert found[scope, key, "cpu"].horizon is None
        assert found[scope, key, "lost"].mean == pytest.approx(0.5 / 2.0, rel=0.01)
        assert found[scope, key, "overcommit"].mean == pytest.approx(2 / 8, rel=0.01)
    assert "No forecast" in foresight(found["fleet", "", "cpu"])


def test_an_hour_is_recorded_once(store: str, now: datetime) -> None:
    guest = DomainFactory.create(host=HostFactory.create(name="kvm1"))
    CapacityRecord.objects.create(pk=1, recorded_until=history._hour(now) - 4 * HOUR)
    write(store, list(counters(str(guest.pk), 6, now)))
    for _ in range(3):
        tick(now)
    counted = poll(
        lambda: values_at("count_over_time(guest:cpu_used:rate1h[1d])", round(now.timestamp()), "uuid"),
        what="the recorded hours",
    )
    assert counted == {str(guest.pk): 3.0}


def test_a_guest_that_moved_within_the_hour_is_counted_once(store: str, now: datetime) -> None:
    guest = DomainFactory.create(host=HostFactory.create(name="kvm1"))
    CapacityRecord.objects.create(pk=1, recorded_until=history._hour(now) - 2 * HOUR)
    lines = list(counters(str(guest.pk), 4, now))
    write(store, [*lines, *(line.replace('"kvm1"', '"kvm2"') for line in lines if "vcpu_time" in line)])
    record_and_work_out(store, now)
    assert GuestUse.objects.get().cpu_mean == pytest.approx(1.5, rel=0.01)


def test_vcpus_of_a_guest_that_has_just_moved_are_counted_where_it_is(store: str, now: datetime) -> None:
    end = history._hour(now)
    lines = list(counters(str(DomainFactory.create().pk), 2, end))
    there = [line for line in lines if "vcpu" in line]
    lines = [line.replace('vcpus{host="kvm1"} 2', 'vcpus{host="kvm1"} 0') for line in lines]
    write(store, [*lines, *(line.replace('"kvm1"', '"kvm2"') for line in there)])
    record_hour(round(end.timestamp()))
    httpx.get(f"{store}/internal/force_flush").raise_for_status()
    counted = poll(
        lambda: values_at("last_over_time(host:vcpus:last[1h])", round(end.timestamp()), "host"), what="the hour"
    )
    assert counted == {"kvm1": 0.0, "kvm2": 2.0}


def test_each_series_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def read(name: str, grid: range, label: str) -> dict[str, array[float]]:
        asked.append(name)
        return {}

    monkeypatch.setattr(outlooks, "_read", read)
    outlooks.work_out(datetime.now(UTC))
    assert len(asked) == len(set(asked)) == 8


def test_while_the_store_is_away_it_says_so_and_goes_on_later(store: str, now: datetime, settings: Settings) -> None:
    CapacityRecord.objects.create(pk=1, recorded_until=history._hour(now) - 2 * HOUR)
    there, settings.TSDB_URL = settings.TSDB_URL, "http://127.0.0.1:9"
    tick(now)
    record = CapacityRecord.objects.get()
    assert "does not answer" in record.trouble
    assert record.worked_out_at is None
    settings.TSDB_URL = there
    record_and_work_out(store, now)
    record = CapacityRecord.objects.get()
    assert (record.trouble, record.worked_out_at) == ("", now)


def test_two_at_once_do_not_both_work(store: str, now: datetime) -> None:
    later = now + timedelta(minutes=6)  # in the next hour, sometimes: what is recorded must do for both
    done = history._newest(later)
    CapacityRecord.objects.create(pk=1, busy_until=now + timedelta(minutes=5), recorded_until=done)
    tick(now)
    assert CapacityRecord.objects.get().worked_out_at is None
    tick(later)  # whoever it was has died
    assert CapacityRecord.objects.get().worked_out_at == later


def test_what_is_gone_leaves_no_figures(store: str, now: datetime) -> None:
    guest = DomainFactory.create()
    GuestUse.objects.create(
        domain=guest, made_at=now - timedelta(days=1), hours=1, cpu_mean=0, cpu_busy=0, cpu_peak=0, steal_mean=0,
        steal_busy=0,
    )  # fmt: skip
    Outlook.objects.create(scope="host", key="4711", resource="cpu", made_at=now - timedelta(days=1), hours=1)
    history.work_out(now)
    assert not GuestUse.objects.exists()
    assert not Outlook.objects.exists()


def test_sums_are_unknown_where_a_member_is_missing_for_a_while() -> None:
    assert list(together([[1, 2, 3], [10, 20, 30]])) == [11, 22, 33]
    total = together([[1.0] * 9, [2.0, 2.0, 2.0, NAN, NAN, 2.0, 2.0, 2.0, 2.0]])
    assert [round(value) if value == value else None for value in total] == [3, 3, 3, None, None, 3, 3, 3, 3]


def test_a_member_that_comes_or_goes_for_good_is_no_gap() -> None:
    total = together([[1.0] * 60, [NAN] * 30 + [2.0] * 30])
    assert list(total) == [1.0] * 30 + [3.0] * 30
    gone = together([[1.0] * 60, [2.0] * 30 + [NAN] * 30])
    assert list(gone) == [3.0] * 30 + [1.0] * 30


def test_a_day_is_its_busiest_hour_and_needs_most_of_its_hours() -> None:
    start = round(datetime(2026, 3, 2, 1, tzinfo=UTC).timestamp())  # the value of the hour that began at 0:00
    grid = range(start, start + 60 * 3600, 3600)
    hours = [5.0] * 10 + [9.0] + [5.0] * 13 + [7.0] * 10 + [NAN] * 14 + [6.0] * 12
    assert busiest_of_days(hours, grid, 18) == [(date(2026, 3, 2), 9.0)]  # 3 March has 10 hours, the 4th goes on
    assert busiest_of_days(hours, grid, 1) == [(date(2026, 3, 2), 9.0), (date(2026, 3, 3), 7.0)]


def test_a_share_counts_hours_of_which_both_are_known_by_how_much_there_was() -> None:
    """1 of 10 and 3 of 10 are a fifth, with 6 of 40 in the same day a sixth; a day of three hours is too short."""
    start = round(datetime(2026, 3, 2, 1, tzinfo=UTC).timestamp())
    grid = range(start, start + 52 * 3600, 3600)
    part = [1.0, 3.0, NAN, 6.0, 5.0] + [NAN] * 19 + [1.0] * 3 + [NAN] * 21 + [9.0] * 4
    whole = [10.0, 10.0, 10.0, 40.0, NAN] + [10.0] * 47
    assert mean_share(part[:3], whole[:3]) == Share(2, 0.2)
    days = by_day(grid)
    assert [(day, round(value, 4)) for day, value in share_of_days(part, whole, days, 3)] == [
        (date(2026, 3, 2), 0.1667), (date(2026, 3, 3), 0.1),
    ]  # fmt: skip
    assert [day for day, _ in share_of_days(part, whole, days, 4)] == []
    assert mean_share([0.0], [0.0]) == Share(1, None)  # nobody wanted anything


def test_a_quantile_lies_between_the_nearest_values() -> None:
    assert quantile([1, 2, 3, 4, 5], 0.95) == pytest.approx(4.8)
    assert quantile([7], 0.95) == 7


def test_storage_that_several_pools_show_counts_once() -> None:
    one, two = HostFactory.create(), HostFactory.create()
    nfs = Storage.objects.create(name="nfs1:/vms", evidence="source")
    pools = [PoolFactory.create(host=host, storage=nfs, type="netfs") for host in (one, two)]
    pools += [PoolFactory.create(host=one, path=path) for path in ("/srv/a", "/srv/b")]  # in one file system
    pools += [PoolFactory.create(host=two), PoolFactory.create(host=two, capacity_bytes=7, available_bytes=1)]
    pools += [PoolFactory.create(state="inactive")]
    assert distinct(pools) == [pools[0], pools[2], pools[4], pools[5]]


def outlook(days: list[tuple[date, float]], limit: float) -> Outlook:
    row = Outlook(resource="cpu", days=[[day.isoformat(), value] for day, value in days], limit=limit, total=limit)
    for name, value in foreseen(days, limit).items():
        setattr(row, name, value)
    return row


def line(number: int, slope: float) -> list[tuple[date, float]]:
    return [(date(2026, 3, 2) + timedelta(days=at), 10 + slope * at) for at in range(number)]


@pytest.mark.parametrize(
    ("days", "limit", "words"),
    [
        (line(20, 1.0), 50, "No forecast: it takes 21 days, each weekday at least twice, and 20 are known."),
        (line(28, 1.0), 50, "Full about 11 Apr 2026; in nine cases of ten between 11 Apr 2026 and 11 Apr 2026"),
        (line(28, 0.0), 50, "Not full before 24 May 2026, as far as 28 days of history allow to look."),
        (line(28, 1.0), 20, "Full already: 37 CPUs at the peak of the last day."),
        (line(28, 1.0), 0, "No forecast: its size is not known."),
    ],
)
def test_a_forecast_is_told_in_a_sentence(days: list[tuple[date, float]], limit: float, words: str) -> None:
    assert foresight(outlook(days, limit)).startswith(words)


def test_a_pool_has_the_name_of_its_host_in_the_history() -> None:
    assert outlooks.pool_key("kvm1", "images") == "kvm1/images"

"""The capacity pages: who sees what, in fleets of any size, and what they say while nothing is known."""

from __future__ import annotations

import csv
import re
from datetime import timedelta
from io import StringIO

import pytest
from django.test import Client
from django.utils import timezone

from domains.capacity.models import CapacityRecord, GuestUse, Outlook
from domains.models import Domain, DomainQuerySet, DomainState
from hosts.models import Host, HostQuerySet
from storage.models import Storage
from tests.factories import DomainFactory, HostFactory, PoolFactory, SiteFactory, VolumeFactory
from tests.queries import queries_of
from vmdash.access.models import User

pytestmark = pytest.mark.django_db

GIB = 1024**2
PAGES = [
    "/capacity/", "/capacity/guests/", "/capacity/what-if/", "/capacity/hosts.csv", "/capacity/guests.csv",
    "/capacity/failures.csv", "/capacity/hosts/kvm1/",
]  # fmt: skip


def words(client: Client, address: str = "/capacity/") -> str:
    page = client.get(address).content.decode().partition("<main")[2].partition("</main>")[0]
    return re.sub(r" (?=[,.;)])", "", re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page)))


def measured(guest: Domain, **fields: float) -> GuestUse:
    use: GuestUse = GuestUse.objects.create(
        domain=guest,
        made_at=timezone.now(),
        **{
            "hours": 336, "cpu_mean": 0.5, "cpu_busy": 0.6, "cpu_peak": 0.9, "steal_mean": 0.0, "steal_busy": 0.0,
            **fields,
        },
    )  # fmt: skip
    return use


def outlook(resource: str, *, scope: str = "fleet", key: str = "", total: float = 16.0, days: int = 60) -> Outlook:
    now = timezone.now()
    past = [[(now - timedelta(days=days - at)).date().isoformat(), total * (0.3 + at / 200)] for at in range(days)]
    row: Outlook = Outlook.objects.create(
        scope=scope, key=key, resource=resource, made_at=now, hours=336, mean=0.4 * total, busy=0.5 * total, days=past,
        limit=0.9 * total, total=total, horizon=now.date() + timedelta(days=2 * days),
        full_from=now.date() + timedelta(days=50), full_at=now.date() + timedelta(days=60),
    )  # fmt: skip
    return row


@pytest.fixture
def kvm1() -> Host:
    return HostFactory.create(name="kvm1", site=SiteFactory.create(name="Lyon"))


@pytest.fixture
def worked_out() -> None:
    now = timezone.now()
    CapacityRecord.objects.create(pk=1, recorded_until=now, worked_out_at=now)


@pytest.mark.parametrize("address", PAGES)
def test_whoever_may_view_may_see_it(
    anonymous_client: Client,
    nobody_client: Client,
    viewer_client: Client,
    help_desk_client: Client,
    operator_client: Client,
    kvm1: Host,
    address: str,
) -> None:
    assert anonymous_client.get(address).status_code == 302
    assert nobody_client.get(address).status_code == 403
    for client in (viewer_client, help_desk_client, operator_client):
        assert client.get(address).status_code == 200
        assert client.post(address).status_code == 405


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/capacity/?sort=nonsense", 400),
        ("/capacity/?site=Atlantis", 404),
        ("/capacity/hosts/nobody/", 404),
        ("/capacity/secrets.csv", 404),
        ("/capacity/guests/?kind=rich", 400),
        ("/capacity/what-if/?guests=many&like_guest=web1", 400),
        ("/capacity/what-if/?guests=5", 400),
        ("/capacity/what-if/?guests=5&like_guest=nobody", 400),
        ("/capacity/what-if/?hosts=101&like_host=kvm1", 400),
        ("/capacity/what-if/?hosts=1&like_host=nobody", 400),
        ("/capacity/what-if/?ratio=nan", 400),
    ],
)
def test_what_makes_no_sense_is_refused(viewer_client: Client, kvm1: Host, address: str, status: int) -> None:
    assert viewer_client.get(address).status_code == status


def test_it_is_in_the_navigation_with_its_key(viewer_client: Client) -> None:
    assert re.search(r'href="/capacity/" data-key="c"', viewer_client.get("/").content.decode())


def test_without_hosts_it_says_how_to_begin(viewer_client: Client) -> None:
    assert "No hosts to count" in words(viewer_client)
    HostFactory.create(enabled=False)
    assert "1 host is disabled" in words(viewer_client)


def test_without_history_it_counts_and_claims_nothing_more(viewer_client: Client, kvm1: Host) -> None:
    DomainFactory.create(host=kvm1, vcpus=4, max_memory_kib=8 * GIB)
    page = words(viewer_client)
    assert "Nothing has been recorded yet" in page
    assert "4 vCPU on 8 CPUs" in page
    assert "8 GiB given of 16 GiB" in page
    assert "Head-room 7.2 GiB" in page  # 16 less 5 % less 8
    assert "a forecast takes three weeks of history" in page
    assert "No forecast yet" in page
    assert "0 of 1 that run were measured" in page
    assert "There is one host: when it fails, everything stands still." in page


def test_use_steal_and_forecast_are_shown(viewer_client: Client, kvm1: Host, worked_out: None) -> None:
    DomainFactory.create(host=kvm1, vcpus=16)
    for resource in ("cpu", "guest_cpu", "steal"):
        outlook(resource, total=8.0)
    Outlook.objects.filter(resource="steal").update(mean=0.8)
    page = words(viewer_client)
    assert "Overcommit 2.0 ×" in page
    assert "Used 4 CPUs, 50 %" in page
    assert "Head-room 3.2 CPUs" in page  # 90 % of 8 less 4
    assert "20 % of the CPU time that guests wanted" in page  # 0.8 lost, 3.2 had
    assert "Lost 0.8 CPUs all the time" in page
    assert "CPU used is full first" in page
    assert re.search(r"Full about \d+ \w+ \d+, \d+ \w+ \d+ at the earliest; it may also be long after", page)
    assert 'class="range"' in viewer_client.get("/capacity/").content.decode()


def share(resource: str, values: dict[int, float], *, scope: str = "fleet", key: str = "") -> None:
    """The mean of days, by how long ago they are."""
    now = timezone.now()
    days = [[(now - timedelta(days=ago)).date().isoformat(), value] for ago, value in values.items()]
    Outlook.objects.create(
        scope=scope, key=key, resource=resource, made_at=now, hours=300, mean=0.02 if resource == "lost" else 2.5,
        days=days,
    )  # fmt: skip


def test_steal_is_shown_over_weeks_beside_overcommit(viewer_client: Client, kvm1: Host, worked_out: None) -> None:
    """With a gap in the one, and a single day of the other, on the same axis."""
    share("lost", {30: 0.01, 29: 0.03, 20: 0.04, 19: 0.08, 18: 0.02})
    share("overcommit", {19: 2.5})
    page = words(viewer_client)
    assert "Lost to steal 5 days are known: between 1 % and 8 %; over the last two weeks 2 %." in page
    assert "vCPUs per CPU 1 day is known: 2.5; over the last two weeks 2.5." in page
    assert "mean of each day" in page
    lost, overcommit = viewer_client.get("/capacity/").context["courses"].charts
    assert [len(line.split()) for line in lost.lines] == [2, 3]  # a gap is no line
    assert not overcommit.lines
    (dot,) = overcommit.dots
    assert f"{dot[0]}," in lost.lines[1].split()[1]  # the same day at the same place
    assert (lost.limit, lost.range) == (None, "")
    assert "at most 8 % on" in lost.description


def test_courses_are_of_what_is_shown(viewer_client: Client, kvm1: Host, worked_out: None) -> None:
    share("lost", {2: 0.5, 1: 0.5}, scope="site", key="Lyon")
    share("lost", {2: 0.25, 1: 0.25}, scope="host", key=str(kvm1.pk))
    assert "2 days are known: 50 %;" in words(viewer_client, "/capacity/?site=Lyon")
    assert "2 days are known: 25 %;" in words(viewer_client, "/capacity/hosts/kvm1/")
    page = words(viewer_client)
    for name in ("Lost to steal", "vCPUs per CPU"):
        assert f"{name}: no day is known yet. A day counts when 18 of its hours were measured." in page


def test_a_host_that_may_not_fail_is_named(viewer_client: Client, kvm1: Host) -> None:
    Host.objects.filter(pk=kvm1.pk).update(memory_kib=64 * GIB)
    kvm2 = HostFactory.create(name="kvm2")
    for host, gib in ((kvm1, 10), (kvm2, 4)):
        DomainFactory.create(host=host, max_memory_kib=gib * GIB)
    assert "The loss of any one host is survived." in words(viewer_client)
    DomainFactory.create(name="large", host=kvm1, max_memory_kib=12 * GIB)
    page = words(viewer_client)
    assert "The loss of 1 of 2 hosts is not survived." in page
    assert "kvm1 (1)" in page
    assert "1 of 2 lost" in page
    detail = words(viewer_client, "/capacity/hosts/kvm1/")
    assert "No host that could take it has enough memory left." in detail
    assert "large" in detail


def test_more_memory_given_than_there_is_is_said(viewer_client: Client, kvm1: Host) -> None:
    DomainFactory.create(host=kvm1, max_memory_kib=20 * GIB)
    assert "4.8 GiB too much" in words(viewer_client)


def test_a_site_has_figures_of_its_own(viewer_client: Client, kvm1: Host) -> None:
    elsewhere = HostFactory.create(name="elsewhere", site=SiteFactory.create(name="Zürich"))
    DomainFactory.create(host=kvm1, vcpus=3)
    DomainFactory.create(host=elsewhere, vcpus=5)
    page = words(viewer_client, "/capacity/?site=Lyon")
    assert "3 vCPU on 8 CPUs" in page
    assert "elsewhere" not in page
    assert "8 vCPU on 16 CPUs" in words(viewer_client)


def test_disabled_hosts_do_not_count(viewer_client: Client, kvm1: Host) -> None:
    DomainFactory.create(host=HostFactory.create(enabled=False, name="old"), vcpus=7)
    page = words(viewer_client)
    assert "0 vCPU on 8 CPUs" in page
    assert "1 disabled and not counted" in page


def test_storage_that_is_shared_counts_once(viewer_client: Client, kvm1: Host) -> None:
    nfs = Storage.objects.create(name="nfs1:/vms", evidence="source")
    for host in (kvm1, HostFactory.create(name="kvm2")):
        VolumeFactory.create(pool=PoolFactory.create(host=host, storage=nfs, type="netfs"))
    page = words(viewer_client)
    assert "50 GiB taken of 100 GiB" in page
    assert "Promised 10 GiB, 0.10 ×" in page


def test_pools_that_will_be_full_are_listed_soonest_first(viewer_client: Client, kvm1: Host, worked_out: None) -> None:
    pools = [PoolFactory.create(host=kvm1, name=name, capacity_bytes=size) for name, size in (("slow", 9), ("soon", 7))]
    PoolFactory.create(host=kvm1, name="never")
    for pool, days in zip(pools, (90, 30), strict=True):
        outlook("storage", scope="pool", key=str(pool.pk))
        Outlook.objects.filter(key=str(pool.pk), scope="pool").update(
            full_at=timezone.localdate() + timedelta(days=days)
        )
    listed = words(viewer_client).partition("Pools that will be full first")[2].partition("Hosts")[0]
    assert listed.index("soon") < listed.index("slow")
    assert "perhaps much later" in listed
    assert "never" not in listed


def test_findings_are_shown_with_their_evidence(viewer_client: Client, kvm1: Host, worked_out: None) -> None:
    measured(DomainFactory.create(name="sleepy", host=kvm1), cpu_mean=0.0, cpu_busy=0.01)
    measured(DomainFactory.create(name="hungry", host=kvm1), cpu_busy=0.95)
    measured(DomainFactory.create(name="young", host=kvm1), hours=20, cpu_mean=0.0, cpu_busy=0.0)
    measured(DomainFactory.create(name="off", host=kvm1, state=DomainState.SHUT_OFF), cpu_mean=0.0, cpu_busy=0.0)
    page = words(viewer_client)
    assert "2 of 3 that run were measured" in page
    assert "Starved 1" in page
    assert "hungry" in page
    assert "Give it more vCPUs." in page
    assert "Idle 1" in page
    assert "sleepy" in words(viewer_client, "/capacity/guests/?kind=idle")
    for name in ("young", "off"):
        assert name not in words(viewer_client, "/capacity/guests/?kind=idle").split()


def test_hosts_are_sorted_as_asked(viewer_client: Client) -> None:
    for name, gib in (("kvm10", 2), ("kvm2", 8), ("kvm1", 4)):
        DomainFactory.create(host=HostFactory.create(name=name), max_memory_kib=gib * GIB)

    def order(sort: str) -> list[str]:
        page = viewer_client.get(f"/capacity/?sort={sort}").content.decode()
        return re.findall(r'href="/capacity/hosts/(\w+)/"><b>', page)

    assert order("name") == ["kvm1", "kvm2", "kvm10"]
    assert order("-given") == ["kvm2", "kvm1", "kvm10"]


def only_mine(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a person who may see the guests whose names begin with "my", on every host."""
    monkeypatch.setattr(DomainQuerySet, "visible_to", lambda self, user: self.present().filter(name__startswith="my"))


def test_whoever_sees_a_part_gets_figures_of_that_part_alone(
    viewer_client: Client, kvm1: Host, worked_out: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(DomainFactory.create(name="my-web", host=kvm1, vcpus=3, max_memory_kib=2 * GIB), cpu_busy=2.9)
    measured(DomainFactory.create(name="others-db", host=kvm1, vcpus=5, max_memory_kib=9 * GIB), cpu_busy=4.9)
    PoolFactory.create(host=kvm1)
    for scope, key in (("fleet", ""), ("site", "Lyon"), ("host", str(kvm1.pk))):
        outlook("cpu", scope=scope, key=key)
        share("lost", {2: 0.5, 1: 0.25}, scope=scope, key=key)
    only_mine(monkeypatch)
    for address in ("/capacity/", "/capacity/?site=Lyon", "/capacity/hosts/kvm1/", "/capacity/what-if/?ratio=1.5"):
        page = words(viewer_client, address)
        assert "This is your part only." in page
        for hidden in ("others-db", "8 vCPU", "11 GiB", "9 GiB", "full first:", "Head-room 3", "50 GiB", "survived",
            "day by day",
        ):  # fmt: skip
            assert hidden not in page
    assert "3 vCPU" in words(viewer_client)
    assert "my-web" in words(viewer_client, "/capacity/guests/")
    for table in ("hosts", "failures", "guests"):
        text = viewer_client.get(f"/capacity/{table}.csv").content.decode()
        assert "others-db" not in text
        assert "50.0" not in text
    (fleet, *_) = csv.DictReader(StringIO(viewer_client.get("/capacity/hosts.csv").content.decode()))
    assert (fleet["vcpus"], fleet["memory_room_bytes"], fleet["cpu_busy"], fleet["full_at"]) == ("3", "", "", "")


def test_whoever_sees_some_hosts_only_sees_a_part_too(
    viewer_client: Client, kvm1: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    HostFactory.create(name="secret")
    monkeypatch.setattr(HostQuerySet, "visible_to", lambda self, user: self.filter(name="kvm1"))
    page = words(viewer_client)
    assert "This is your part only." in page
    assert "secret" not in page


def test_tables_can_be_saved(viewer_client: Client, kvm1: Host, worked_out: None) -> None:
    HostFactory.create(name="kvm2", site=kvm1.site)
    guest = DomainFactory.create(name="=cmd|' /C calc'!A0", host=kvm1, vcpus=2, max_memory_kib=2 * GIB)
    measured(guest, cpu_mean=0.0, cpu_busy=0.0)
    outlook("cpu")
    response = viewer_client.get("/capacity/hosts.csv")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(r'attachment; filename="capacity-hosts-[\d-]+\.csv"', response["Content-Disposition"])
    rows = list(csv.DictReader(StringIO(response.content.decode())))
    assert [row["level"] for row in rows] == ["fleet", "site", "host", "host"]
    assert rows[0]["memory_given_bytes"] == str(2 * 1024**3)
    assert rows[0]["full_first"] == "cpu"
    assert rows[2]["guests_lost_if_it_fails"] == "0"
    (failure,) = csv.DictReader(StringIO(viewer_client.get("/capacity/failures.csv").content.decode()))
    assert (failure["host_that_fails"], failure["goes_to"], failure["uuid"]) == ("kvm1", "kvm2", str(guest.pk))
    (finding,) = csv.DictReader(StringIO(viewer_client.get("/capacity/guests.csv").content.decode()))
    assert finding["finding"] == "idle"
    assert finding["guest"].startswith("'=")  # no spreadsheet takes it for a formula


def test_guests_more_are_placed_on_paper(viewer_client: Client, kvm1: Host) -> None:
    """16 GiB less 5 % are 15.2: 2 are given, so three of 4 GiB fit, and 8 with another host, which has 3."""
    DomainFactory.create(name="web1", host=kvm1, max_memory_kib=2 * GIB)
    big = DomainFactory.create(name="big", host=kvm1, vcpus=2, max_memory_kib=4 * GIB, state=DomainState.SHUT_OFF)
    page = words(viewer_client, "/capacity/what-if/?guests=5&like_guest=big")
    assert "3 of 5 guests fit. No host has enough memory left." in page
    page = words(viewer_client, f"/capacity/what-if/?guests=5&like_guest={big.pk}&hosts=1&like_host=kvm1")
    assert "All 5 guests fit" in page
    assert "Then 2 6 11 16" in page  # hosts, guests, vCPU, CPUs
    assert Domain.objects.count() == 2
    assert Host.objects.count() == 1


def test_memory_that_hosts_can_still_give_is_told_as_it_was_asked(viewer_client: Client, kvm1: Host) -> None:
    """Twice 15.2 GiB, of which 20 go to new guests."""
    DomainFactory.create(name="big", host=kvm1, max_memory_kib=4 * GIB, state=DomainState.SHUT_OFF)
    page = words(viewer_client, "/capacity/what-if/?guests=5&like_guest=big&ratio=2")
    assert "All 5 guests fit" in page
    assert "kvm1 5 10.4 GiB" in page


def test_a_host_more_saves_those_that_may_not_fail(viewer_client: Client, kvm1: Host) -> None:
    DomainFactory.create(name="web1", host=kvm1, max_memory_kib=8 * GIB)
    page = words(viewer_client, "/capacity/what-if/?hosts=1&like_host=kvm1")
    assert "The loss of any one host is survived then; now that of 1 is not." in page


def test_disks_of_guests_more_need_room_too(viewer_client: Client, kvm1: Host) -> None:
    """Each takes 20 GiB now, and 50 are free."""
    pool = PoolFactory.create(host=kvm1)
    volume = VolumeFactory.create(pool=pool, allocation_bytes=20 * 1024**3)
    DomainFactory.create(name="web1", host=kvm1, disks=[{"target": "vda", "device": "disk", "source": volume.path}])
    page = words(viewer_client, "/capacity/what-if/?guests=3&like_guest=web1")
    assert "There is storage for the disks of 2 of them: each takes 20 GiB now, and 50 GiB are free." in page
    assert "How much CPU one needs was not measured" in page


def test_the_forecast_moves_with_what_is_added(viewer_client: Client, kvm1: Host, worked_out: None) -> None:
    measured(DomainFactory.create(name="web1", host=kvm1), cpu_busy=1.0)
    outlook("cpu", total=16.0)
    page = words(viewer_client, "/capacity/what-if/?guests=10&like_guest=web1")
    assert re.search(r"CPU used Full about .* Full already", page)
    page = words(viewer_client, "/capacity/what-if/?hosts=20&like_host=kvm1")
    assert re.search(r"CPU used Full about .* Not full before", page)


def test_a_name_that_several_guests_have_is_not_guessed_at(viewer_client: Client, kvm1: Host) -> None:
    DomainFactory.create(name="web1", host=kvm1)
    DomainFactory.create(name="web1")
    response = viewer_client.get("/capacity/what-if/?guests=5&like_guest=web1")
    assert response.status_code == 400
    assert "Several guests have this name." in response.content.decode()


def test_the_number_of_queries_does_not_grow(viewer: User, viewer_client: Client, worked_out: None) -> None:
    def more(number: int) -> None:
        for _ in range(number):
            host = HostFactory.create(site=SiteFactory.create())
            measured(DomainFactory.create(host=host))
            VolumeFactory.create(pool=PoolFactory.create(host=host))
            outlook("cpu", scope="host", key=str(host.pk))

    more(2)
    few = queries_of(lambda: viewer_client.get("/capacity/"))
    more(10)
    assert queries_of(lambda: viewer_client.get("/capacity/")) == few

"""What the failure of a host does to the CPUs of those that take over: by vCPUs, and by what guests really used."""

from __future__ import annotations

import csv
from io import StringIO

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone

from domains.capacity.failure import Failure, fail
from domains.capacity.mail import summary
from domains.capacity.needs import read_park
from domains.capacity.sheet import sheet
from domains.capacity.what_if import Wish, answer
from domains.models import Domain, GuestUse, Outlook
from hosts.models import Host
from tests.api.caller import Caller
from tests.capacity.test_pages import words
from tests.factories import DomainFactory, HostFactory
from vmdash.access.models import User

pytestmark = pytest.mark.django_db
GIB = 1024**2


@pytest.fixture
def hosts() -> list[Host]:
    """Three hosts of 8 CPUs: ten vCPUs in two guests run on the first, and 24 on the second, where 4 GiB are left."""
    one, two, three = (HostFactory.create(name=f"kvm{number}", memory_kib=20 * GIB) for number in (1, 2, 3))
    for name in ("a", "b"):
        guest(name, one, vcpus=5)
    guest("c", two, vcpus=4, gib=10)
    for number in range(5):
        guest(f"d{number}", two, vcpus=4)
    return [one, two, three]


def guest(name: str, host: Host, *, vcpus: int, gib: int = 1) -> Domain:
    return DomainFactory.create(name=name, host=host, vcpus=vcpus, max_memory_kib=gib * GIB)


def failed(host: Host) -> Failure:
    park = read_park(list(Host.objects.select_related("site")), Domain.objects.present())
    return fail(park, host.pk)


def on_page(viewer: User, name: str) -> Failure:
    """With what was measured."""
    return next(one for one in sheet(viewer).failures if one.machine.name == name)


def used(guest: str, cpus: float, hours: int = 336, mean: float | None = None) -> None:
    GuestUse.objects.create(
        domain=Domain.objects.get(name=guest), made_at=timezone.now(), hours=hours,
        cpu_mean=cpus if mean is None else mean, cpu_busy=cpus, cpu_peak=cpus, steal_mean=0, steal_busy=0,
    )  # fmt: skip


def measured(host: Host) -> None:
    """Each guest there used half a CPU."""
    for name in host.domains.values_list("name", flat=True):
        used(name, 0.5)


def busy(host: Host, cpus: float, hours: int = 336) -> None:
    Outlook.objects.create(
        scope="host", key=str(host.pk), resource="cpu", made_at=timezone.now(), hours=hours, mean=cpus, busy=cpus,
        total=8, limit=7.2,
    )  # fmt: skip


def test_vcpus_of_a_failed_host_add_to_those_that_take_them(hosts: list[Host]) -> None:
    (taker,) = failed(hosts[0]).takers
    assert (taker.machine.name, taker.guests, taker.vcpus) == ("kvm3", 2, 10)
    assert (taker.before, taker.after) == (0, 1.25)
    assert not taker.is_crowded


def test_a_host_that_would_be_crowded_is_told_but_takes_guests(hosts: list[Host]) -> None:
    """34 vCPUs on 8 CPUs, when there is no other host."""
    Host.objects.filter(name="kvm3").update(enabled=False, state=Host.State.UNREACHABLE)
    found = failed(hosts[0])
    assert found.survives
    assert found.verdict == "All guests have a place; kvm2 crowded: 4.2 vCPUs per CPU"
    assert (found.short, found.look) == ("crowded", "warn")


def test_measured_use_counts_more_than_vcpus(viewer: User, hosts: list[Host]) -> None:
    """Crowded, but the host uses 5 of 8 CPUs, and what comes 1.5: 90 % of 8 are 7.2."""
    Host.objects.filter(name="kvm3").update(state=Host.State.UNREACHABLE)
    busy(hosts[1], 5.0)
    measured(hosts[1])
    used("a", 1.0)
    used("b", 0.5)
    found = on_page(viewer, "kvm1")
    (taker,) = found.takers
    assert taker.busy_after == 6.5
    assert taker.words == "crowded: 4.2 vCPUs per CPU, but what guests used is there"
    assert (found.cpu_fits, found.look, found.verdict) == (True, "ok", "All guests have a place")


def test_a_host_that_is_short_of_what_guests_used_is_told_although_it_is_not_crowded(
    viewer: User, hosts: list[Host]
) -> None:
    busy(hosts[2], 3.0)
    used("a", 4.3)
    found = on_page(viewer, "kvm1")
    assert found.cpu_fits is False  # already without b, which was not measured
    assert found.verdict == "All guests have a place; kvm3 short of CPU: 7.3 of 8 CPUs in use"
    assert found.short == "short of CPU"


@pytest.mark.parametrize("hours", [0, 20])
def test_who_was_hardly_measured_is_not_said_to_fit(viewer: User, hosts: list[Host], hours: int) -> None:
    busy(hosts[2], 3.0)
    used("a", 1.0)
    if hours:
        used("b", 0.1, hours=hours)
    found = on_page(viewer, "kvm1")
    assert found.cpu_fits is None
    assert found.takers[0].unmeasured == 1
    assert found.look == "ok"  # nor crowded


def test_guests_that_are_there_and_were_not_measured_count_too(viewer: User, hosts: list[Host]) -> None:
    guest("young", hosts[2], vcpus=1)
    busy(hosts[2], 1.0)
    measured(hosts[0])
    (taker,) = on_page(viewer, "kvm1").takers
    assert (taker.unmeasured, taker.fits) == (1, None)
    used("young", 1.0)
    (taker,) = on_page(viewer, "kvm1").takers
    assert (taker.unmeasured, taker.fits) == (0, True)


def test_what_came_lately_is_not_forgotten(viewer: User, hosts: list[Host]) -> None:
    """A host that used one CPU in two weeks, before guests moved there that need six: two more are too many."""
    busy(hosts[2], 1.0)
    guest("moved", hosts[2], vcpus=8)
    used("moved", 6.0)
    for name in ("a", "b"):
        used(name, 1.0)
    (taker,) = on_page(viewer, "kvm1").takers
    assert taker.busy_change == "6 → 8 of 8"
    assert taker.fits is False


def test_guests_that_are_busy_in_turn_do_not_make_their_host_busier_than_it_was(
    viewer: User, hosts: list[Host]
) -> None:
    busy(hosts[2], 4.0)
    for number in range(8):
        guest(f"turn{number}", hosts[2], vcpus=2)
        used(f"turn{number}", 2.0, mean=0.5)
    measured(hosts[0])
    (taker,) = on_page(viewer, "kvm1").takers
    assert (taker.busy_after, taker.fits) == (5.0, True)


def test_a_host_that_was_hardly_measured_is_not_judged_by_use(viewer: User, hosts: list[Host]) -> None:
    busy(hosts[2], 1.0, hours=100)
    measured(hosts[0])
    (taker,) = on_page(viewer, "kvm1").takers
    assert (taker.busy_after, taker.fits) == (None, None)


def test_who_is_busy_an_hour_a_day_counts_with_the_mean(viewer: User, hosts: list[Host]) -> None:
    busy(hosts[2], 1.0)
    used("a", 0.0, mean=0.25)
    used("b", 1.0, mean=0.5)
    assert on_page(viewer, "kvm1").takers[0].busy_after == 2.25


def test_several_hosts_are_counted(hosts: list[Host]) -> None:
    """Each of two takes one guest of eight vCPUs, and has 28 already."""
    Host.objects.filter(name="kvm2").update(state=Host.State.UNREACHABLE)
    guest("e", hosts[2], vcpus=28)
    guest("f", HostFactory.create(name="kvm4", memory_kib=20 * GIB), vcpus=28)
    Domain.objects.filter(host=hosts[0]).update(vcpus=8)
    found = failed(hosts[0])
    assert [taker.machine.name for taker in found.tight] == ["kvm3", "kvm4"]
    assert found.cpu_words == "2 hosts crowded: up to 4.5 vCPUs per CPU"


def test_a_guest_that_is_wider_than_a_host_finds_no_place_there() -> None:
    large = HostFactory.create(name="large", cpus=16)
    HostFactory.create(name="small", cpus=8)
    wide = guest("wide", large, vcpus=12)
    guest("slim", large, vcpus=8)
    found = failed(large)
    assert [one.need.name for one in found.stranded] == ["wide"]
    assert found.reasons == [("No other host has enough CPUs for it.", 1)]
    Domain.objects.filter(pk=wide.pk).update(vcpus=20)  # wider than its own host too: 16 CPUs are what it has today
    assert [one.need.name for one in failed(large).stranded] == ["wide"]
    HostFactory.create(name="another", cpus=16)
    assert failed(large).survives


def test_a_host_whose_cpus_are_not_known_is_not_judged(hosts: list[Host]) -> None:
    Host.objects.filter(name="kvm3").update(cpus=0)
    (taker,) = failed(hosts[0]).takers
    assert (taker.after, taker.fits, taker.words) == (None, None, "")


def test_of_a_host_whose_cpus_are_not_known_nothing_is_said(viewer_client: Client, hosts: list[Host]) -> None:
    Host.objects.filter(name="kvm3").update(cpus=0)
    page = words(viewer_client, "/capacity/hosts/kvm1/")
    assert "kvm3 2 2 GiB 19 GiB 10 – not measured not known" in page
    assert "not crowded" not in page


def test_the_pages_tell_it(viewer_client: Client, hosts: list[Host]) -> None:
    Host.objects.filter(name="kvm3").update(state=Host.State.UNREACHABLE)
    assert (
        "CPU would be scarce after the loss of 2 of 3 hosts, on those that take over: kvm1 (kvm2 crowded: 4.2 vCPUs "
        "per CPU)" in words(viewer_client)
    )
    page = words(viewer_client, "/capacity/hosts/kvm1/")
    assert "kvm2 2 2 GiB 4 GiB 10 3 → 4.2 not measured crowded: 4.2 vCPUs per CPU" in page
    busy(hosts[1], 5.0)
    measured(hosts[1])
    used("a", 1.0)
    page = words(viewer_client, "/capacity/hosts/kvm1/")
    assert "3 → 4.2 5 → 6 of 8 crowded: 4.2 vCPUs per CPU 1 guest not measured" in page


def test_that_cpu_is_there_is_said_where_all_of_it_was_measured(viewer_client: Client, hosts: list[Host]) -> None:
    Host.objects.filter(name="kvm2").delete()
    busy(hosts[0], 2.0)
    busy(hosts[2], 0.0)
    used("a", 1.0)
    assert "Memory and storage are there for all of its guests" in words(viewer_client)
    used("b", 1.0)
    assert "Memory, CPU and storage are there for all of its guests" in words(viewer_client)
    page = words(viewer_client, "/capacity/hosts/kvm1/")
    assert "0 → 1.2 0 → 2 of 8 enough CPU" in page


def test_files_and_the_api_tell_it(viewer: User, viewer_client: Client, hosts: list[Host]) -> None:
    Host.objects.filter(name="kvm3").update(state=Host.State.UNREACHABLE)
    for name in ("a", "b"):
        used(name, 1.0)
    busy(hosts[1], 5.0)
    measured(hosts[1])
    rows = csv.DictReader(StringIO(viewer_client.get("/capacity/failures.csv").content.decode()))
    row = next(row for row in rows if row["guest"] == "a")
    assert (row["vcpus"], row["goes_to"], row["its_cpus"]) == ("5", "kvm2", "8")
    assert (row["its_vcpus_per_cpu_before"], row["its_vcpus_per_cpu_after"]) == ("3.0", "4.25")
    assert (row["its_cpu_busy_after"], row["its_guests_unmeasured"], row["its_cpu_fits"]) == ("7.0", "0", "yes")
    rows = csv.DictReader(StringIO(viewer_client.get("/capacity/hosts.csv").content.decode()))
    row = next(row for row in rows if row["name"] == "kvm1")
    assert (row["hosts_crowded_if_it_fails"], row["cpu_fits_if_it_fails"]) == ("1", "yes")
    line = next(line for line in Caller(viewer).get("/capacity").json()["hosts"] if line["name"] == "kvm1")
    assert (line["hosts_crowded_if_it_fails"], line["cpu_fits_if_it_fails"]) == (1, True)


def test_a_question_has_a_bar_of_its_own(viewer_client: Client, hosts: list[Host]) -> None:
    """Ten vCPUs on 8 CPUs are crowded for whoever wants one CPU for each."""
    page = words(viewer_client, "/capacity/what-if/?cpu_ratio=1")
    assert "With memory given up to 1.0 ×, vCPUs up to 1.0 ×" in page
    assert "kvm1 (kvm3 crowded: 1.2 vCPUs per CPU)" in page
    assert viewer_client.get("/capacity/what-if/?cpu_ratio=0").status_code == 400


def test_new_guests_bring_their_cpu_along(viewer_client: Client, hosts: list[Host]) -> None:
    used("a", 1.5)
    busy(hosts[2], 1.0)
    page = words(viewer_client, "/capacity/what-if/?guests=15&like_guest=a")
    assert "All 15 guests fit" in page
    assert "kvm3 short of CPU" in page
    page = words(viewer_client, "/capacity/what-if/?guests=15&like_guest=b")
    assert "kvm3 short of CPU" not in page
    assert "kvm3 crowded" in page


def test_new_guests_that_were_not_measured_do_not_hide_that_cpu_is_short(viewer: User, hosts: list[Host]) -> None:
    """One like c goes to kvm3, which would be short of CPU already if kvm1 failed."""
    measured(hosts[0])
    busy(hosts[2], 6.5)
    wish = Wish(guests=1, like_guest=Domain.objects.get(name="c"))
    found = answer(sheet(viewer).park, wish, viewer)
    assert [taker.machine.name for taker in found.placed] == ["kvm3"]
    assert [failure.cpu_words for failure in found.tight_after] == ["kvm3 short of CPU: 7.5 of 8 CPUs in use"]


def test_new_guests_that_were_not_measured_are_not_said_to_fit(viewer: User, hosts: list[Host]) -> None:
    measured(hosts[0])
    busy(hosts[2], 1.0)
    wish = Wish(guests=1, like_guest=Domain.objects.get(name="c"))
    found = answer(sheet(viewer).park, wish, viewer)
    before, after = (
        next(one.takers[0] for one in failures if one.machine.name == "kvm1")
        for failures in (found.failures_before, found.failures_after)
    )
    assert (before.busy_after, before.fits) == (2.0, True)
    assert (after.busy_after, after.unmeasured, after.fits) == (2.0, 1, None)


def test_the_same_guests_share_their_demands_whatever_their_size() -> None:
    """Or ten thousand guests of a few sizes would ask each host several times as often."""
    host = HostFactory.create()
    for vcpus in (1, 2, 4, 8):
        guest(f"g{vcpus}", host, vcpus=vcpus)
    park = read_park(list(Host.objects.select_related("site")), Domain.objects.present())
    assert len({need.demand for need in park.needs[host.pk]}) == 1
    for name, cpus in (("tiny", 2), ("large", 16)):
        HostFactory.create(name=name, cpus=cpus)
    park = read_park(list(Host.objects.select_related("site")), Domain.objects.present())
    # A host of two CPUs has no more to say than who needs more than two.
    assert [need.demand[5] for need in sorted(park.needs[host.pk], key=lambda need: need.vcpus)] == [0, 0, 8, 8]


def test_the_weekly_mail_tells_it(viewer: User, hosts: list[Host]) -> None:
    Host.objects.filter(name="kvm3").update(state=Host.State.UNREACHABLE)
    text = render_to_string("capacity/mail.txt", summary(sheet(viewer), viewer, timezone.now()))
    assert "CPU would be scarce:\nkvm1 fails: kvm2 crowded: 4.2 vCPUs per CPU.\n" in text
    assert "4.2 vCPUs per CPU.\n\nWHEN IS IT FULL?" in text

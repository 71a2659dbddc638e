"""The fleet page."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from domains.models import DomainState
from hosts.models import Host
from tests.factories import DomainFactory, HostFactory, JobFactory, SiteFactory
from tests.queries import queries_of
from tests.ticks import OLD_S, guest_sample, host_sample, write_tick
from vmdash.access.models import User
from vmdash.jobs.models import Job
from vmdash.main import fleet as fleet_module
from vmdash.main.fleet import fleet

pytestmark = pytest.mark.django_db


def text(client: Client, address: str = "/") -> str:
    """What the page says, without markup."""
    response = client.get(address)
    assert response.status_code == 200
    return re.sub(r"(<[^>]*>|\s)+", " ", response.content.decode())


def test_strangers_are_sent_away(anonymous_client: Client, nobody_client: Client) -> None:
    assert anonymous_client.get("/").status_code == 302
    assert nobody_client.get("/").status_code == 403


@pytest.mark.parametrize("who", ["viewer_client", "help_desk_client", "operator_client", "administrator_client"])
def test_every_role_sees_the_fleet(who: str, request: pytest.FixtureRequest) -> None:
    HostFactory.create(name="kvm1")
    assert "kvm1" in text(request.getfixturevalue(who))


def test_an_empty_fleet_says_how_to_begin(viewer_client: Client, administrator_client: Client) -> None:
    assert "An administrator can add hosts" in text(viewer_client)
    assert "Add a host" in text(administrator_client)


def test_the_headline_adds_up(viewer_client: Client) -> None:
    one, two = HostFactory.create(cpus=4), HostFactory.create(cpus=4)
    for host in (one, two):
        DomainFactory.create(host=host, vcpus=6)
    DomainFactory.create(host=one, vcpus=32, state=DomainState.SHUT_OFF)
    write_tick(one, sample=host_sample(steal=4, running=2, vcpus=9))
    write_tick(two, sample=host_sample(steal=0, running=2, vcpus=3))
    assert "2 hosts · 3 guests · 12 vCPU on 8 CPUs (1.5 ×) · steal 3 %" in text(viewer_client)


def test_hosts_stand_by_site_and_in_natural_order(viewer: User) -> None:
    lyon = SiteFactory.create(name="Lyon")
    for name, site in (("kvm10", lyon), ("kvm2", lyon), ("lonely", None)):
        HostFactory.create(name=name, site=site)
    sites = [(name, [tile.host.name for tile in tiles]) for name, tiles in fleet(viewer).sites]
    assert sites == [("Lyon", ["kvm2", "kvm10"]), ("", ["lonely"])]


def test_a_site_has_a_page_of_its_own(viewer_client: Client) -> None:
    HostFactory.create(name="here", site=SiteFactory.create(name="New York"))
    HostFactory.create(name="elsewhere", site=SiteFactory.create(name="Lyon"))
    page = viewer_client.get("/?site=New+York").content.decode()
    assert "/hosts/here/" in page
    assert "/hosts/elsewhere/" not in page.partition('class="side"')[0]
    assert viewer_client.get("/?site=Atlantis").status_code == 404


def test_in_a_small_fleet_each_guest_is_named(viewer_client: Client) -> None:
    DomainFactory.create(name="web1", state=DomainState.PAUSED)
    assert "web1 : paused" in text(viewer_client)


def test_each_guest_is_a_square_that_tells_its_state(viewer_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "MOST_NAMED", 0)
    guest = DomainFactory.create(name="web1", state=DomainState.PAUSED)
    page = viewer_client.get("/").content.decode()
    assert f'class="sq paused" href="/domains/{guest.pk}/"' in page
    assert 'title="web1: paused"' in page
    assert re.search(r'class="visually-hidden">1 guest: 1 paused', page)


def test_a_very_large_fleet_is_counted_instead_of_drawn(viewer_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    host = HostFactory.create()
    for _ in range(3):
        DomainFactory.create(host=host)
    monkeypatch.setattr(fleet_module, "MOST_SQUARES", 2)
    assert "3 running" in text(viewer_client)
    assert 'class="squares"' not in viewer_client.get("/").content.decode()


def test_a_silent_host_is_shown_with_its_age_and_reason(viewer_client: Client) -> None:
    seen = timezone.now() - timedelta(seconds=43)
    HostFactory.create(name="kvm12", state=Host.State.UNREACHABLE, last_seen_at=seen, state_reason="It hangs.")
    page = text(viewer_client)
    assert re.search(r"does not answer , last seen 4[34] s ago \. It hangs\.", page)
    assert re.search(r"kvm12 does not answer 4[34] s", page)


def test_what_needs_attention_is_listed(viewer_client: Client) -> None:
    host = HostFactory.create()
    DomainFactory.create(name="wiki", host=host, state=DomainState.CRASHED, state_reason="panicked")
    DomainFactory.create(name="mail", host=host, state=DomainState.PAUSED, state_reason="io_error")
    DomainFactory.create(name="twin", host=host, split_brain=True)
    DomainFactory.create(name="rest", host=host, state=DomainState.PAUSED, state_reason="user")
    slow = DomainFactory.create(name="db1", host=host)
    write_tick(host, {slow: guest_sample(steal=31)})
    page = text(viewer_client)
    assert "wiki has crashed: kernel panic" in page
    assert "mail is paused: disk I/O error" in page
    assert "twin is active on two hosts at once" in page
    assert "db1 loses 31 % of its CPU time" in page
    assert "rest is" not in page


def test_a_calm_fleet_says_so(viewer_client: Client) -> None:
    DomainFactory.create()
    assert "Nothing. Every host answers, and no guest is in trouble." in text(viewer_client)


def test_the_five_that_lose_most_are_listed_worst_first(viewer: User) -> None:
    host = HostFactory.create()
    guests = [DomainFactory.create(name=f"guest{number}", host=host) for number in range(8)]
    write_tick(host, {guest: guest_sample(steal=number) for number, guest in enumerate(guests)})
    assert [loss.name for loss in fleet(viewer).worst] == ["guest7", "guest6", "guest5", "guest4", "guest3"]


def test_old_figures_are_not_counted(viewer: User) -> None:
    guest = DomainFactory.create()
    write_tick(guest.host, {guest: guest_sample(steal=50)}, age_s=OLD_S)
    found = fleet(viewer)
    assert (found.worst, found.slow, found.totals.steal) == ([], [], None)


def test_running_jobs_are_ones_own_unless_the_role_sees_all(viewer_client: Client, operator_client: Client) -> None:
    JobFactory.create(label="Start web1", state=Job.State.RUNNING)
    assert "Start web1" not in text(viewer_client)
    assert "Start web1" in text(operator_client)


def test_the_last_hour_tells_each_thing_once(operator_client: Client) -> None:
    now = timezone.now()
    started = DomainFactory.create(name="web2", state_since=now + timedelta(seconds=5), state_since_known=True)
    JobFactory.create(
        domain=started, label="Start web2", requested_by_name="operator", state=Job.State.SUCCEEDED, finished_at=now
    )
    DomainFactory.create(
        name="wiki", state=DomainState.CRASHED, state_reason="panicked", state_since=now, state_since_known=True
    )
    DomainFactory.create(name="old", state_since=now - timedelta(hours=2), state_since_known=True)
    DomainFactory.create(name="found", state_since=now, state_since_known=False)
    page = text(operator_client).partition("Last hour")[2]
    assert "operator: Start web2" in page
    assert "web2 is running" not in page
    assert "wiki is crashed (kernel panic)" in page
    assert "old is" not in page
    assert "found is" not in page


def test_the_number_of_queries_does_not_grow(operator_client: Client) -> None:
    def more(number: int) -> None:
        for _ in range(number):
            guest = DomainFactory.create(state=DomainState.CRASHED, state_since_known=True)
            JobFactory.create(domain=guest)
            write_tick(guest.host, {guest: guest_sample(steal=20)})

    more(2)
    operator_client.get("/")  # what is misplaced is found once, and kept for a while
    few = queries_of(lambda: operator_client.get("/"))
    more(20)
    assert queries_of(lambda: operator_client.get("/")) == few

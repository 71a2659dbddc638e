"""The fleet as it was at a moment that is kept."""

from __future__ import annotations

import re
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from domains.models import Domain, DomainState, GuestEvent
from domains.steal import then as steal_module
from domains.timeline import fleet as past_module
from domains.timeline.fleet import FleetThen, HostThen, fleet_then
from hosts.models import Host, HostEvent, Site
from tests.factories import DomainFactory, HostFactory, SiteFactory, UserFactory
from tests.polling import poll
from tests.queries import queries_of
from vmdash.access.models import Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role

pytestmark = pytest.mark.django_db

NOW = int(time.time()) // 60 * 60
MORNING, EVENING = NOW - 86_400, NOW - 40_000


def moment(at_s: int) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


def event(guest: Domain, at_s: int, kind: str, host: Host, state: str = "running") -> None:
    GuestEvent.objects.create(
        uuid=guest.pk, name=guest.name, at=moment(at_s), kind=kind, host_name=host.name, state=state
    )


def text(client: Client, **query: Any) -> str:
    """What the page says, without markup."""
    response = client.get("/", query)
    assert response.status_code == 200
    return re.sub(r"(<[^>]*>|\s)+", " ", response.content.decode())


def then(user: User, at_s: int, site: str = "") -> FleetThen:
    hosts = Host.objects.visible_to(user).select_related("site")
    return fleet_then(user, moment(at_s), list(hosts.filter(site__name=site) if site else hosts), site=site)


def tile(past: FleetThen, name: str) -> HostThen:
    [found] = [host for host in past.hosts if host.name == name]
    return found


def names(past: FleetThen, host: str) -> list[tuple[str, str]]:
    return [(guest.name, guest.state) for guest in tile(past, host).guests]


@pytest.fixture
def hosts(db: None) -> tuple[Host, Host]:
    """Two, both connected since two days ago. Their names are new, since the history store is shared."""
    found = [HostFactory.create(name=f"kvm-{uuid.uuid4().hex[:8]}") for _ in range(2)]
    for host in found:
        HostEvent.objects.create(host=host, at=moment(NOW - 2 * 86_400), state="up")
    return found[0], found[1]


@pytest.fixture
def guest(hosts: tuple[Host, Host]) -> Domain:
    """It was on the first host in the morning, and moved to the second one, where it is now, paused."""
    one, two = hosts
    found = DomainFactory.create(name="web1", host=two, state=DomainState.PAUSED)
    event(found, NOW - 2 * 86_400, "seen", one)
    event(found, EVENING - 100, "moved", two)
    event(found, NOW - 3600, "state", two, "paused")
    return found


def record(url: str, guest: Domain, host: Host, until_s: int, steal: float) -> None:
    """Three minutes of a guest that loses so much (a share), alone on a host of which half is busy."""
    lines = []
    for step in range(19):
        seconds, at = step * 10, (until_s - 180 + step * 10) * 1000
        only, vcpu = f'host="{host.name}"', f'host="{host.name}",domain="{guest.name}",uuid="{guest.pk}",vcpu='
        lines += [
            f"libvirt_up{{{only}}} 1 {at}",
            f'libvirt_node_cpu_seconds_total{{{only},mode="user"}} {seconds * 4} {at}',
            f'libvirt_node_cpu_seconds_total{{{only},mode="idle"}} {seconds * 4} {at}',
            f"libvirt_node_memory_total_bytes{{{only}}} 1000 {at}",
            f"libvirt_node_memory_free_bytes{{{only}}} 250 {at}",
            f"vmdash_host_vcpus{{{only}}} 2 {at}",
            f"vmdash_host_steal_seconds_total{{{only}}} {seconds * steal * 2} {at}",
            f"vmdash_host_vcpu_seconds_total{{{only}}} {seconds * 2} {at}",
            f'libvirt_domain_vcpu_delay_seconds_total{{{vcpu}"0"}} {seconds * steal * 2} {at}',
            f'libvirt_domain_vcpu_delay_seconds_total{{{vcpu}"1"}} 0 {at}',
        ]
    httpx.post(f"{url}/api/v1/import/prometheus", content="\n".join((*lines, ""))).raise_for_status()
    httpx.get(f"{url}/internal/force_flush").raise_for_status()


def test_two_moments_show_state_place_and_steal_as_they_were(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain, viewer: User, viewer_client: Client
) -> None:
    one, two = hosts
    record(victoria_metrics, guest, one, MORNING, 0.31)
    record(victoria_metrics, guest, two, EVENING, 0.04)

    def steal_at(at_s: int) -> float | None:
        return then(viewer, at_s).steal.get(guest.pk)

    poll(lambda: steal_at(MORNING) and steal_at(EVENING), 20, "the figures")
    morning, evening = then(viewer, MORNING), then(viewer, EVENING)
    assert steal_at(MORNING) == pytest.approx(31, abs=0.5)
    assert steal_at(EVENING) == pytest.approx(4, abs=0.5)
    assert (names(morning, one.name), names(morning, two.name)) == ([("web1", "running")], [])
    assert (names(evening, one.name), names(evening, two.name)) == ([], [("web1", "running")])
    figures = tile(morning, one.name).figures
    assert figures
    assert figures.cpu == pytest.approx(50)
    assert figures.memory == pytest.approx(75)
    assert tile(morning, two.name).figures is None  # nobody recorded it then
    assert [loss.guest.name for loss in morning.worst] == ["web1"]
    assert morning.mean_steal == pytest.approx(31, abs=0.5)

    page = text(viewer_client, at=MORNING)
    assert "This is the past" in page
    assert "web1 : running, lost 31 % of its CPU time" in page
    assert "Back to now" in page
    assert "No figures of this moment" in page  # of the other host
    assert "moved to" in text(viewer_client, at=EVENING)


def test_a_value_that_is_old_is_not_shown_as_of_then(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain, viewer: User
) -> None:
    record(victoria_metrics, guest, hosts[0], MORNING, 0.2)
    poll(lambda: then(viewer, MORNING).steal, 20, "the figures")
    later = then(viewer, MORNING + 600)
    assert later.steal == {}
    assert later.without_figures
    assert names(later, hosts[0].name) == [("web1", "running")]


def test_without_the_history_store_states_and_places_are_there(
    hosts: tuple[Host, Host], guest: Domain, viewer: User, viewer_client: Client, settings: Settings
) -> None:
    settings.TSDB_URL = "http://127.0.0.1:9"
    HostEvent.objects.create(host=hosts[1], at=moment(MORNING - 600), state="unreachable", reason="No route.")
    past = then(viewer, MORNING)
    assert tile(past, hosts[0].name).answered is None  # that is not known without figures
    assert tile(past, hosts[1].name).answered is False  # which is in the database
    page = text(viewer_client, at=MORNING)
    assert "The history store does not answer. States and places are there, steal, CPU and memory are not." in page
    assert "web1 : running" in page
    assert "as last known" not in page


def test_a_host_that_was_away_says_so_and_its_guests_are_as_last_known(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain, viewer: User, viewer_client: Client
) -> None:
    HostEvent.objects.create(host=hosts[0], at=moment(MORNING - 600), state="unreachable", reason="No route.")
    HostEvent.objects.create(host=hosts[0], at=moment(MORNING + 600), state="up")
    assert tile(then(viewer, MORNING), hosts[0].name).was_away
    assert not tile(then(viewer, MORNING + 700), hosts[0].name).was_away
    assert "does not answer since" in text(viewer_client, at=MORNING)


def test_before_the_first_record_the_page_says_that_nothing_is_known(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain, viewer_client: Client
) -> None:
    page = text(viewer_client, at=NOW - 30 * 86_400)
    assert "Nothing was recorded then What is kept begins on" in page


def test_a_fleet_without_any_record_says_so(victoria_metrics: str, viewer_client: Client) -> None:
    HostFactory.create()
    assert "States and places are recorded from the first round over a host on." in text(viewer_client, at=NOW - 60)
    assert "Nothing has been recorded yet." in text(viewer_client)


def test_hosts_that_were_not_known_yet_are_named_apart(
    victoria_metrics: str, hosts: tuple[Host, Host], viewer_client: Client
) -> None:
    HostFactory.create(name="newcomer")
    assert "Not recorded then: newcomer." in text(viewer_client, at=MORNING)


def test_there_are_no_actions_in_the_past(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain, administrator_client: Client
) -> None:
    page = administrator_client.get("/", {"at": MORNING}).content.decode()
    main = page[page.index("<main") : page.index("</main>")]
    assert 'method="post"' not in main
    assert "<button" not in main.replace('<button class="btn" type="submit">Show</button>', "")


@pytest.mark.parametrize(
    ("person", "status"),
    [
        ("anonymous", 302),
        ("nobody", 403),
        ("viewer", 200),
        ("helpdesk", 200),
        ("operator", 200),
        ("administrator", 200),
    ],
)
def test_who_may_look_back(victoria_metrics: str, person: str, status: int, request: pytest.FixtureRequest) -> None:
    client = request.getfixturevalue({"helpdesk": "help_desk"}.get(person, person) + "_client")
    assert client.get("/", {"at": MORNING}).status_code == status


@pytest.mark.parametrize("at", ["", "yesterday", "-5", "1e9", "99999999999", "2026-13-01T00:00", "2999-01-01T00:00"])
def test_what_is_no_time_or_is_still_to_come_is_refused(viewer_client: Client, at: str) -> None:
    assert viewer_client.get("/", {"at": at}).status_code == 400


def test_a_range_that_does_not_exist_is_refused(viewer_client: Client) -> None:
    assert viewer_client.get("/", {"at": str(MORNING), "over": "decade"}).status_code == 400


def test_a_time_is_also_taken_as_the_field_writes_it(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain, viewer_client: Client, settings: Settings
) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    with timezone.override("Asia/Tokyo"):
        local = timezone.localtime(moment(MORNING)).strftime("%Y-%m-%dT%H:%M:%S")
        page = viewer_client.get("/", {"at": local}).content.decode()
    assert f'value="{MORNING}"' in page
    assert f'value="{local}"' in page


def granted(person: User, *things: Domain | Host | Site) -> User:
    """A viewer of these, read anew."""
    for thing in things:
        scope = {Domain: Scope.GUEST, Host: Scope.HOST, Site: Scope.SITE}[type(thing)]
        Grant.objects.create(person=person, role=Role.VIEWER, scope=scope, scope_id=str(thing.pk))
    return User.objects.get(pk=person.pk)


def test_guests_of_others_are_never_seen(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain, viewer: User, nobody: User, nobody_client: Client
) -> None:
    secret = DomainFactory.create(name="secret1", host=hosts[0])
    event(secret, NOW - 2 * 86_400, "seen", hosts[0])
    event(secret, EVENING - 60, "state", hosts[0], "crashed")
    record(victoria_metrics, secret, hosts[0], MORNING, 0.5)
    poll(lambda: then(viewer, MORNING).steal, 20, "the figures")
    granted(nobody, guest)
    for at in (MORNING, EVENING):
        page = nobody_client.get("/", {"at": at}).content.decode()
        assert "secret1" not in page
        assert "web1" in page


def test_guests_that_are_gone_are_seen_by_those_who_see_the_whole_host(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain, viewer: User, nobody: User
) -> None:
    gone = DomainFactory.create(name="gone1", host=hosts[0], gone_at=moment(EVENING))
    event(gone, NOW - 2 * 86_400, "seen", hosts[0])
    event(gone, EVENING, "gone", hosts[0])
    gone.delete()  # the events outlive its row
    assert ("gone1", "running") in names(then(viewer, MORNING), hosts[0].name)
    assert ("gone1", "running") not in names(then(viewer, EVENING + 1), hosts[0].name)
    some = granted(nobody, guest, hosts[1])
    assert names(then(some, MORNING), "") == [("web1", "running")]
    whole = granted(nobody, hosts[0])
    assert names(then(whole, MORNING), hosts[0].name) == [("gone1", "running"), ("web1", "running")]


def test_a_guest_keeps_its_place_on_a_host_that_was_removed(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain, viewer: User, viewer_client: Client
) -> None:
    name = hosts[0].name
    Host.objects.filter(pk=hosts[0].pk).delete()
    assert names(then(viewer, MORNING), name) == [("web1", "running")]
    assert tile(then(viewer, MORNING), name).answered is None
    assert "There is no such host any more." in text(viewer_client, at=MORNING)


def test_the_name_of_a_host_that_one_may_not_see_is_not_told(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain
) -> None:
    person = UserFactory.create(role="")
    Grant.objects.create(person=person, role=Role.VIEWER, scope=Scope.HOST, scope_id=str(hosts[1].pk))
    past = fleet_then(person, moment(MORNING), [hosts[1]])
    assert names(past, "") == [("web1", "running")]
    assert hosts[0].name not in {host.name for host in past.hosts}


def test_where_a_guest_is_now_its_host_is_named_to_who_sees_the_guest_alone(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain
) -> None:
    person, client = UserFactory.create(role=""), Client()
    Grant.objects.create(person=person, role=Role.VIEWER, scope=Scope.GUEST, scope_id=str(guest.pk))
    client.force_login(person)
    evening, morning = text(client, at=EVENING), text(client, at=MORNING)
    assert f"moved to {hosts[1].name}" in evening
    assert "You see these guests, and not the host." in evening
    assert "You may not see them." in morning
    assert hosts[0].name not in evening + morning


def test_who_sees_everything_reads_of_hosts_of_other_sites(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain, viewer: User
) -> None:
    """The guest was on the first host, then moved to the second one, and back a moment later."""
    event(guest, EVENING - 50, "moved", hosts[0])
    past = fleet_then(viewer, moment(EVENING), [hosts[0]], site="Lyon")
    assert [change.words for change in past.changes] == [f"moved to {host.name}" for host in hosts]


def test_a_site_shows_its_own_hosts_alone(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain, viewer_client: Client
) -> None:
    hosts[1].site = SiteFactory.create(name="Lyon")
    hosts[1].save()
    page = viewer_client.get("/", {"at": str(EVENING), "site": "Lyon"}).content.decode()
    assert "web1" in page
    assert hosts[0].name not in page
    assert "?site=Lyon&amp;over=" in page


def test_a_large_fleet_takes_no_more_queries(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain, viewer: User
) -> None:
    then(viewer, MORNING)  # what the viewer may see is read once, the first time
    few = queries_of(lambda: then(viewer, MORNING))
    for number in range(30):
        event(DomainFactory.create(name=f"more{number}", host=hosts[0]), NOW - 2 * 86_400, "seen", hosts[0])
    assert queries_of(lambda: then(viewer, MORNING)) == few
    assert len(tile(then(viewer, MORNING), hosts[0].name).guests) == 31


@pytest.mark.parametrize("most", [2_000, 1])
def test_more_hosts_of_somebody_who_sees_a_part_take_no_more_queries(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain, nobody: User, monkeypatch: pytest.MonkeyPatch,
    most: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(past_module, "MOST_GUESTS", most)
    site = SiteFactory.create()
    Host.objects.filter(pk=hosts[0].pk).update(site=site)
    person = granted(nobody, site, hosts[1])
    assert person.reach.is_something  # what they may see is read once, the first time
    event(DomainFactory.create(name="web2", host=hosts[0]), NOW - 2 * 86_400, "seen", hosts[0])
    few = queries_of(lambda: then(person, MORNING))
    for number in range(6):
        host = HostFactory.create(site=site)
        HostEvent.objects.create(host=host, at=moment(NOW - 2 * 86_400), state="up")
        event(DomainFactory.create(name=f"more{number}", host=host), NOW - 2 * 86_400, "seen", host)
    assert queries_of(lambda: then(person, MORNING)) == few
    past = then(person, MORNING)
    assert (len(past.hosts), past.guests) == (8, 8)


def test_whatever_happened_to_others_takes_no_more_queries_and_hides_nothing(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain, nobody: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_module, "MOST_GUESTS", 1)  # so that it counts as a large fleet
    person = granted(nobody, hosts[1])
    assert person.reach.is_something
    event(DomainFactory.create(name="web2", host=hosts[1]), EVENING - 3000, "seen", hosts[1])
    few = queries_of(lambda: then(person, EVENING))
    secret = DomainFactory.create(name="secret1", host=hosts[0])
    GuestEvent.objects.bulk_create(
        GuestEvent(uuid=secret.pk, name="secret1", at=moment(EVENING - number), kind="state",
                   host_name=hosts[0].name, state=("paused", "running")[number % 2])
        for number in range(500)
    )  # fmt: skip
    assert queries_of(lambda: then(person, EVENING)) == few
    told = [(change.guest.name, change.words) for change in then(person, EVENING).changes]
    assert told == [("web1", f"moved to {hosts[1].name}"), ("web2", f"seen on {hosts[1].name}: running")]


def test_what_guests_lost_is_known_whatever_others_lost(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain, viewer: User, nobody: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Of a large fleet, of which the store is asked for few of those that lost the most."""
    monkeypatch.setattr(past_module, "MOST_GUESTS", 1)
    monkeypatch.setattr(past_module, "MOST_OF_ALL", 2)
    monkeypatch.setattr(steal_module, "MOST_OF_ALL", 2)
    quiet = DomainFactory.create(name="quiet1", host=hosts[1])
    event(quiet, NOW - 2 * 86_400, "seen", hosts[1])
    record(victoria_metrics, quiet, hosts[1], MORNING, 0.02)
    for number in range(4):
        loud = DomainFactory.create(name=f"loud{number}", host=hosts[number % 2])
        event(loud, NOW - 2 * 86_400, "seen", hosts[number % 2])
        record(victoria_metrics, loud, hosts[number % 2], MORNING, 0.5)
    record(victoria_metrics, guest, hosts[0], MORNING, 0.04)
    person = granted(nobody, guest, quiet)
    poll(lambda: len(then(person, MORNING).worst) == 2, 20, "the figures")
    worst = [(loss.guest.name, round(loss.percent)) for loss in then(person, MORNING).worst]
    assert worst == [("web1", 4), ("quiet1", 2)]
    loudest = poll(lambda: then(viewer, MORNING).worst, 20, "those of all")
    assert {loss.guest.name[:4] for loss in loudest} == {"loud"}


def test_a_fleet_that_was_small_then_is_drawn_with_names_however_large_it_is_now(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain, viewer: User, viewer_client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(past_module, "MOST_GUESTS", 2)
    record(victoria_metrics, guest, hosts[0], MORNING, 0.31)
    for number in range(3):
        event(DomainFactory.create(name=f"more{number}", host=hosts[0]), EVENING, "seen", hosts[0])
    assert names(then(viewer, MORNING), hosts[0].name) == [("web1", "running")]
    poll(lambda: then(viewer, MORNING).steal.get(guest.pk), 20, "the figures")
    assert "web1 : running, lost 31 % of its CPU time" in text(viewer_client, at=MORNING)
    assert all(not host.guests for host in then(viewer, EVENING).hosts)
    assert then(viewer, EVENING).guests == 4


def test_the_slider_stands_at_the_moment_and_ends_now(
    victoria_metrics: str, hosts: tuple[Host, Host], guest: Domain, viewer_client: Client
) -> None:
    page = viewer_client.get("/", {"at": str(EVENING), "over": "day"}).content.decode()
    slider = re.search(r'<input type="range"[^>]*min="(\d+)" max="(\d+)" step="(\d+)" value="(\d+)"', page)
    assert slider
    least, most, step, value = map(int, slider.groups())
    assert value == EVENING
    assert (value - least) % step == 0
    assert 0 <= time.time() - most < 60
    assert f"?over=day&amp;at={EVENING - 3600}" in page
    assert f"?over=day&amp;at={EVENING + 86_400}" not in page  # still to come


def test_the_page_of_now_has_the_slider_too(viewer_client: Client, hosts: tuple[Host, Host]) -> None:
    page = viewer_client.get("/").content.decode()
    assert 'aria-label="Look back"' in page
    assert "This is the past" not in page

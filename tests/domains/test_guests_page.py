"""The table of guests."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domains.models import Domain, DomainState
from hosts.models import Host
from tests.factories import DomainFactory, HostFactory, JobFactory, TagFactory
from tests.queries import queries_of
from tests.ticks import OLD_S, guest_sample, write_tick

NAME = re.compile(r'<td class="c-name"><a href="/domains/[0-9a-f-]{36}/">([^<]*)</a>')


def names(client: Client, address: str = "/domains/") -> list[str]:
    """The guests that the page shows, in its order."""
    response = client.get(address)
    assert response.status_code == 200
    return NAME.findall(response.content.decode())


def rows(client: Client, **parameters: str | int) -> list[str]:
    response = client.get("/domains/rows/", parameters)
    assert response.status_code == 200
    return [row["name"] for row in response.json()["rows"]]


def test_whoever_is_not_signed_in_is_asked_to(anonymous_client: Client) -> None:
    response = anonymous_client.get("/domains/?q=web")
    assert response.headers["Location"] == "/sign-in/?next=/domains/%3Fq%3Dweb"


@pytest.mark.parametrize("address", ["/domains/", "/domains/rows/"])
def test_whoever_has_no_role_sees_no_guests(nobody_client: Client, address: str) -> None:
    assert nobody_client.get(address).status_code == 403


@pytest.mark.parametrize("who", ["viewer_client", "help_desk_client", "operator_client", "administrator_client"])
def test_every_role_sees_the_guests(who: str, request: pytest.FixtureRequest) -> None:
    client: Client = request.getfixturevalue(who)
    DomainFactory.create(name="web1")
    assert names(client) == ["web1"]


def test_buttons_are_those_that_the_role_may_press(viewer_client: Client, help_desk_client: Client) -> None:
    DomainFactory.create()
    assert 'name="action"' not in viewer_client.get("/domains/").content.decode()
    page = help_desk_client.get("/domains/").content.decode()
    assert 'value="start"' in page
    assert 'value="force_off"' not in page


def test_guests_that_are_gone_are_not_shown(viewer_client: Client) -> None:
    DomainFactory.create(name="here")
    DomainFactory.create(name="gone", gone_at=timezone.now())
    assert names(viewer_client) == ["here"]


def test_a_search_stands_in_the_address(viewer_client: Client) -> None:
    DomainFactory.create(name="web1", state=DomainState.PAUSED)
    DomainFactory.create(name="db1")
    assert names(viewer_client, "/domains/?q=state:paused") == ["web1"]


@pytest.mark.parametrize("address", ["/domains/?q=sate:running", "/domains/?sort=colour", "/domains/?page=0"])
def test_what_cannot_be_understood_is_said_and_nothing_is_shown(viewer_client: Client, address: str) -> None:
    DomainFactory.create(name="web1")
    response = viewer_client.get(address)
    assert response.status_code == 400
    page = response.content.decode()
    assert 'role="alert"' in page
    assert "web1" not in page


@pytest.mark.parametrize(
    "parameters",
    [{"q": "steal>much"}, {"sort": "colour"}, {"offset": "-1"}, {"offset": "x"}, {"limit": "0"}, {"limit": "501"}],
)
def test_the_rows_refuse_what_they_do_not_understand(viewer_client: Client, parameters: dict[str, str]) -> None:
    response = viewer_client.get("/domains/rows/", parameters)
    assert response.status_code == 400
    assert response.json()["error"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.text(max_size=60), st.text(max_size=10), st.text(max_size=10))
def test_no_parameters_break_the_table(viewer_client: Client, query: str, sort: str, page: str) -> None:
    address = f"/domains/?q={quote(query)}&sort={quote(sort)}&page={quote(page)}"
    assert viewer_client.get(address).status_code in (200, 400)


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("", ["a", "b", "c"]),
        ("-name", ["c", "b", "a"]),
        ("host", ["b", "c", "a"]),
        ("-memory", ["c", "a", "b"]),
        ("vcpus", ["b", "a", "c"]),
        ("state", ["b", "a", "c"]),
        ("-steal", ["b", "a", "c"]),
        ("cpu", ["b", "a", "c"]),
    ],
)
def test_the_table_is_sorted(viewer_client: Client, sort: str, order: list[str]) -> None:
    kvm1, kvm2 = HostFactory.create(name="kvm1"), HostFactory.create(name="kvm2")
    a = DomainFactory.create(name="a", host=kvm2, memory_kib=2048, vcpus=2)
    b = DomainFactory.create(name="b", host=kvm1, memory_kib=1024, vcpus=1, state=DomainState.CRASHED)
    DomainFactory.create(name="c", host=kvm1, memory_kib=4096, vcpus=4, state=DomainState.SHUT_OFF)
    write_tick(kvm2, {a: guest_sample(cpu=50, steal=1)})
    write_tick(kvm1, {b: guest_sample(cpu=10, steal=30)})
    assert names(viewer_client, f"/domains/?sort={sort}") == order
    assert rows(viewer_client, sort=sort) == order


def test_windows_follow_each_other_in_every_order(viewer_client: Client) -> None:
    host = HostFactory.create()
    guests = [DomainFactory.create(name=f"guest{number}", host=host) for number in range(7)]
    write_tick(host, {guest: guest_sample(steal=number % 3) for number, guest in enumerate(guests)})
    for sort in ("name", "-steal", "state", "-host"):
        windows = [rows(viewer_client, sort=sort, offset=offset, limit=3) for offset in (0, 3, 6)]
        assert [len(window) for window in windows] == [3, 3, 1]
        assert len({name for window in windows for name in window}) == 7


def test_figures_are_searched_for_where_they_are_fresh(viewer_client: Client) -> None:
    fresh, old = HostFactory.create(), HostFactory.create()
    slow, calm = DomainFactory.create(name="slow", host=fresh), DomainFactory.create(name="calm", host=fresh)
    long_ago = DomainFactory.create(name="long-ago", host=old)
    write_tick(fresh, {slow: guest_sample(steal=12.5), calm: guest_sample(steal=0)})
    write_tick(old, {long_ago: guest_sample(steal=50)}, age_s=OLD_S)
    assert names(viewer_client, "/domains/?q=steal>5") == ["slow"]
    assert names(viewer_client, "/domains/?q=-steal>5") == ["calm", "long-ago"]
    assert names(viewer_client, "/domains/?q=steal>5+name:calm") == []


def test_a_row_has_its_figures_its_host_and_their_age(viewer_client: Client) -> None:
    guest = DomainFactory.create(name="web1", state=DomainState.PAUSED, state_reason="user", numa_cells=[0, 1])
    guest.tags.add(TagFactory.create(name="prod"))
    JobFactory.create(domain=guest, kind="domain.resume")
    tick = write_tick(guest.host, {guest: guest_sample(cpu=31.5)})
    answer = viewer_client.get("/domains/rows/").json()
    (row,) = answer["rows"]
    assert (row["state_label"], row["reason"], row["numa"], row["tags"]) == ("paused", "by user", "2 cells", ["prod"])
    assert row["job"] == "Resuming"
    assert answer["samples"][str(guest.pk)]["cpu"] == 31.5
    assert answer["ticks"][str(guest.host.pk)] == {"at": tick["at"], "interval_ms": tick["interval_ms"]}
    assert answer["hosts"][0]["state"] == "up"


def test_what_a_silent_host_said_last_is_shown_as_old(viewer_client: Client) -> None:
    seen = timezone.now() - timedelta(seconds=43)
    silent = HostFactory.create(state=Host.State.UNREACHABLE, last_seen_at=seen)
    DomainFactory.create(name="web1", host=silent, state_since=seen - timedelta(days=1))
    page = viewer_client.get("/domains/").content.decode()
    assert "1 of unknown state" in page
    assert re.search(r'<tr data-uuid="[^"]*" class="stale">', page)
    assert re.search(r'<span class="age"><time[^>]*>4[34] s ago</time>', page)


def test_names_from_the_host_cannot_bring_markup(viewer_client: Client) -> None:
    DomainFactory.create(name="<script>alert(1)</script>", title='"><b>', addresses=["<i>"])
    page = viewer_client.get("/domains/").content.decode()
    assert "<script>alert" not in page
    assert "<i>" not in page
    assert '"><b>' not in page


def test_pages_follow_each_other_without_javascript(viewer_client: Client) -> None:
    host = HostFactory.create()
    Domain.objects.bulk_create(DomainFactory.build(name=f"guest{number:03}", host=host) for number in range(55))
    first = viewer_client.get("/domains/?q=guest")
    assert 'href="?q=guest&amp;page=2"' in first.content.decode()
    assert names(viewer_client, "/domains/?page=2") == [f"guest{number:03}" for number in range(50, 55)]


@pytest.mark.parametrize(
    "address", ["/domains/", "/domains/?sort=-steal", "/domains/rows/", "/domains/rows/?q=tag:a+cpu>1"]
)
def test_the_number_of_queries_does_not_grow(viewer_client: Client, address: str) -> None:
    def more(number: int) -> None:
        host = HostFactory.create()
        for _ in range(number):
            guest = DomainFactory.create(host=host)
            guest.tags.add(TagFactory.create())
            JobFactory.create(domain=guest)
        write_tick(host)

    more(2)
    few = queries_of(lambda: viewer_client.get(address))
    more(20)
    assert queries_of(lambda: viewer_client.get(address)) == few


def test_an_empty_fleet_says_how_to_begin(viewer_client: Client) -> None:
    assert "No hosts yet" in viewer_client.get("/domains/").content.decode()
    HostFactory.create()
    assert "No guests yet" in viewer_client.get("/domains/").content.decode()
    DomainFactory.create()
    assert "No guest matches" in viewer_client.get("/domains/?q=nothing").content.decode()


@pytest.mark.parametrize("state", [DomainState.SHUT_OFF, DomainState.RUNNING])
def test_guests_whose_host_nobody_reads_any_more_are_old_also_when_they_are_off(
    viewer_client: Client, state: str
) -> None:
    guest = DomainFactory.create(state=state, host__last_seen_at=timezone.now() - timedelta(seconds=400))
    stale = re.compile(r'<tr data-uuid="[^"]*" class="stale">.*?<span class="age"><time', re.DOTALL)
    for age_s, is_old in ((OLD_S, True), (0, False)):
        write_tick(guest.host, {}, age_s=age_s)
        for address in ("/domains/", f"/domains/{guest.pk}/"):
            page = viewer_client.get(address).content.decode()
            assert bool(stale.search(page) or "data-stale" in page) == is_old


def test_every_state_has_its_reason_in_full(viewer_client: Client) -> None:
    """Also where the short form leaves it out."""
    guest = DomainFactory.create(name="web1", state=DomainState.RUNNING, state_reason="booted")
    write_tick(guest.host)
    table = viewer_client.get("/domains/").content.decode()
    assert 'title="running, booted"' in table
    assert "booted" in viewer_client.get(f"/domains/{guest.pk}/").content.decode()
    assert 'title="running, booted"' in viewer_client.get(f"/hosts/{guest.host.name}/").content.decode()

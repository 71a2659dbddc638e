"""The page of one guest."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from domains.guest_page import TABS
from domains.models import Domain, DomainState, Sighting
from hosts.models import Host
from tests.factories import DomainFactory, HostFactory, JobFactory, UserFactory
from tests.queries import queries_of
from tests.services import free_port
from tests.ticks import OLD_S, guest_sample, write_tick
from vmdash.access.models import AuditEntry

XML = """<domain type='kvm'>
  <name>web1</name>
  <memory unit='KiB'>524288</memory>
  <vcpu>2</vcpu>
  <numatune><memory mode='strict' nodeset='0'/></numatune>
  <os><type arch='x86_64' machine='pc-q35-9.2'>hvm</type></os>
  <devices>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel>
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source><address domain='0x0000' bus='0x03' slot='0x00' function='0x0'/></source>
    </hostdev>
  </devices>
</domain>
"""


def address(guest: Domain, part: str = "") -> str:
    return f"/domains/{guest.pk}/{part}"


def page(client: Client, guest: Domain, part: str = "") -> str:
    response = client.get(address(guest, part))
    assert response.status_code == 200
    return response.content.decode()


PARTS = ["", *(f"{tab}/" for tab in TABS if tab != "overview")]


@pytest.mark.parametrize("part", [*PARTS, "charts.json", "charts.csv", "definition.xml"])
def test_strangers_are_sent_away(anonymous_client: Client, nobody_client: Client, part: str) -> None:
    guest = DomainFactory.create()
    assert anonymous_client.get(address(guest, part)).status_code == 302
    assert nobody_client.get(address(guest, part)).status_code == 403


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_a_page_for_every_role(
    viewer_client: Client, help_desk_client: Client, operator_client: Client, part: str
) -> None:
    guest = DomainFactory.create(name="web1", xml=XML)
    for client in (viewer_client, help_desk_client, operator_client):
        assert "web1" in page(client, guest, part)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_says_why_when_it_has_nothing_to_show(viewer_client: Client, part: str) -> None:
    assert page(viewer_client, DomainFactory.create(xml="", graphics=[], disks=[]), part)


def test_a_guest_that_is_gone_or_never_was_is_not_found(viewer_client: Client) -> None:
    gone = DomainFactory.create(gone_at=timezone.now())
    assert viewer_client.get(address(gone)).status_code == 404
    assert viewer_client.get(f"/domains/{uuid4()}/").status_code == 404
    assert viewer_client.get(address(DomainFactory.create(), "nonsense/")).status_code == 404


def test_the_state_is_told_with_its_reason_and_since_when(viewer_client: Client) -> None:
    guest = DomainFactory.create(
        state=DomainState.PAUSED,
        state_reason="user",
        state_since=timezone.now() - timedelta(minutes=12),
        state_since_known=True,
    )
    text = re.sub(r"<[^>]*>|\s+", " ", page(viewer_client, guest))
    assert re.search(r"paused\s+by user\s+for\s+12 min", text)


def test_a_button_that_cannot_be_pressed_says_why(operator_client: Client) -> None:
    running = page(operator_client, DomainFactory.create())
    assert re.search(r'value="start" disabled title="[^"]+"', running)
    assert re.search(r'value="shutdown">', running)
    paused = page(operator_client, DomainFactory.create(state=DomainState.PAUSED))
    assert '<p class="why">It is paused. Resume it.' in paused


def test_a_viewer_is_told_that_they_may_not_act(viewer_client: Client) -> None:
    text = page(viewer_client, DomainFactory.create())
    assert "You may not start, shut down and restart guests." in text
    assert "Console</a>" not in text


def test_only_those_who_may_open_the_console_see_the_screen(viewer_client: Client, help_desk_client: Client) -> None:
    guest = DomainFactory.create()
    assert 'id="picture"' not in page(viewer_client, guest)
    assert 'id="picture"' in page(help_desk_client, guest)


def test_what_destroys_something_names_what_is_lost(operator_client: Client) -> None:
    assert re.search(r'value="force_off" data-loses="[^"]+"', page(operator_client, DomainFactory.create()))


def note(client: Client, guest: Domain) -> str:
    """The plain sentence on what is wrong."""
    found = re.findall(
        r'<div class="note (?:bad|warn)" role="status">.*?<p><b>(.*?)</b>', page(client, guest), re.DOTALL
    )
    return found[0] if found else ""


def test_a_guest_in_good_order_has_no_notes(viewer_client: Client) -> None:
    guest = DomainFactory.create()
    write_tick(guest.host, {guest: guest_sample(steal=9.9)})
    assert note(viewer_client, guest) == ""


def test_a_slow_guest_is_told_in_plain_words(viewer_client: Client) -> None:
    guest = DomainFactory.create()
    write_tick(guest.host, {guest: guest_sample(steal=31.4)})
    assert note(viewer_client, guest) == "Slow because it loses 31 % of its CPU time to its neighbours."


def test_a_silent_host_is_told_in_plain_words(viewer_client: Client) -> None:
    host = HostFactory.create(name="kvm3", state=Host.State.UNREACHABLE)
    assert note(viewer_client, DomainFactory.create(host=host)) == "Its host kvm3 does not answer."


def test_old_figures_are_told(viewer_client: Client) -> None:
    guest = DomainFactory.create(host=HostFactory.create(name="kvm3"))
    write_tick(guest.host, {guest: guest_sample(steal=50)}, age_s=OLD_S)
    assert note(viewer_client, guest) == "No figures of kvm3 have come lately."


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        (DomainState.CRASHED, "panicked", "It has crashed (kernel panic)."),
        (DomainState.PAUSED, "io_error", "It is paused: disk I/O error"),
    ],
)
def test_an_accident_is_told_in_plain_words(viewer_client: Client, state: str, reason: str, said: str) -> None:
    assert note(viewer_client, DomainFactory.create(state=state, state_reason=reason)).startswith(said)


def test_a_split_brain_is_told_loudly(viewer_client: Client) -> None:
    guest = DomainFactory.create(split_brain=True)
    for name in ("kvm1", "kvm2"):
        host = HostFactory.create(name=name)
        Sighting.objects.create(domain=guest, host=host, state=DomainState.RUNNING, seen_at=timezone.now())
    assert note(viewer_client, guest) == "It is active on two hosts at once: kvm1 and kvm2."


def test_the_hardware_comes_from_the_definition(viewer_client: Client) -> None:
    text = page(viewer_client, DomainFactory.create(xml=XML), "hardware/")
    assert "strict, cells 0" in text
    assert "org.qemu.guest_agent.0" in text
    assert "0000:03:00.0" in text


def test_a_definition_that_cannot_be_read_is_no_error(viewer_client: Client) -> None:
    guest = DomainFactory.create(xml='<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><domain>&e;</domain>')
    assert "cannot be understood" in page(viewer_client, guest, "hardware/")
    assert "&amp;e;" in page(viewer_client, guest, "xml/")


def test_the_definition_can_be_downloaded(viewer_client: Client) -> None:
    guest = DomainFactory.create(xml=XML)
    response = viewer_client.get(address(guest, "definition.xml"))
    assert response.content.decode() == XML
    assert response.headers["Content-Disposition"] == f'attachment; filename="{guest.pk}.xml"'
    assert viewer_client.get(address(DomainFactory.create(), "definition.xml")).status_code == 404


def test_the_history_lists_what_was_asked_for(operator_client: Client, viewer_client: Client) -> None:
    guest = DomainFactory.create(name="web1")
    JobFactory.create(domain=guest, label="Start web1", requested_by=UserFactory.create(username="somebody"))
    assert "Start web1" in page(operator_client, guest, "history/")
    theirs = page(viewer_client, guest, "history/")
    assert "Start web1" not in theirs
    assert "You see what you asked for yourself" in theirs


def test_operators_give_tags(operator_client: Client) -> None:
    guest = DomainFactory.create()
    response = operator_client.post(address(guest, "tags/"), {"tags": "prod, web prod"})
    assert response.headers["Location"] == address(guest)
    assert sorted(tag.name for tag in guest.tags.all()) == ["prod", "web"]
    assert AuditEntry.objects.get(action="domain.tags").detail == "prod web"
    operator_client.post(address(guest, "tags/"), {"tags": ""})
    assert not guest.tags.exists()


@pytest.mark.parametrize("tags", ["no/slash", "a" * 41, " ".join(f"t{number}" for number in range(31)), "<b>"])
def test_a_bad_tag_is_refused_and_changes_nothing(operator_client: Client, tags: str) -> None:
    guest = DomainFactory.create()
    response = operator_client.post(address(guest, "tags/"), {"tags": tags})
    assert response.status_code == 400
    assert 'id="tags-error"' in response.content.decode()
    assert not guest.tags.exists()


def test_only_operators_give_tags(viewer_client: Client, help_desk_client: Client, anonymous_client: Client) -> None:
    guest = DomainFactory.create()
    for client, status in ((viewer_client, 403), (help_desk_client, 403), (anonymous_client, 302)):
        assert client.post(address(guest, "tags/"), {"tags": "web"}).status_code == status
    assert not guest.tags.exists()


def test_tags_are_not_given_by_following_a_link(operator_client: Client) -> None:
    assert operator_client.get(address(DomainFactory.create(), "tags/")).status_code == 405


def test_without_the_history_store_the_charts_say_so(viewer_client: Client, settings: Settings) -> None:
    settings.TSDB_URL = f"http://127.0.0.1:{free_port()}"
    response = viewer_client.get(address(DomainFactory.create(), "charts.json"))
    assert response.status_code == 503
    assert response.json()["error"] == "The history store does not answer."


@pytest.mark.parametrize("part", PARTS)
def test_the_number_of_queries_does_not_grow(operator_client: Client, part: str) -> None:
    guest = DomainFactory.create(xml=XML)
    JobFactory.create(domain=guest, exclusive=False)
    few = queries_of(lambda: operator_client.get(address(guest, part)))
    for _ in range(10):
        JobFactory.create(domain=guest, exclusive=False)
        DomainFactory.create(host=guest.host)
    assert queries_of(lambda: operator_client.get(address(guest, part))) == few

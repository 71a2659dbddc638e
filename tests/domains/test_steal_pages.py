"""What a guest's page says of the CPU time it loses: to whom, how sure that is, and where it would be better off."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags
from pytest_django import Settings

from domains.models import Domain
from domains.steal import prediction, takers
from domains.steal.prediction import steal_there
from hosts.models import Driver, Host
from tests.factories import DomainFactory, HostFactory, UserFactory
from tests.queries import queries_of
from tests.services import free_port
from tests.ticks import guest_sample, host_sample, write_tick
from vmdash.access.models import Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.live.messages import Blame

pytestmark = pytest.mark.django_db


@pytest.fixture
def web(settings: Settings) -> Domain:
    """It runs on kvm1 beside ci-7 and build-2. No history store answers."""
    settings.TSDB_URL = f"http://127.0.0.1:{free_port()}"
    host = HostFactory.create(name="kvm1", cpus=2)
    for name in ("ci-7", "build-2"):
        DomainFactory.create(host=host, name=name)
    return DomainFactory.create(host=host, name="web1", vcpus=1)


def lose(web: Domain, *, sure: float = 1.0, by: list[tuple[str, float]] | None = None) -> None:
    ci, build = (str(Domain.objects.get(name=name).pk) for name in ("ci-7", "build-2"))
    blame: Blame = {"lost": 31.0, "by": [(ci, 22.0), (build, 9.0)] if by is None else by, "sure": sure}
    write_tick(web.host, {web: guest_sample(steal=31.0)}, blames={web: blame})


def page(client: Client, guest: Domain, tab: str = "") -> str:
    address = reverse("guest-tab", args=[guest.pk, tab]) if tab else reverse("guest", args=[guest.pk])
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_page_says_who_takes_it_in_one_sentence(viewer_client: Client, web: Domain) -> None:
    lose(web)
    text = page(viewer_client, web)
    assert "Slow because it loses 31 % of its CPU time: to ci-7 (22 %) and build-2 (9 %)." in text
    assert "That is sure: they stayed on the same physical CPUs." in text


@pytest.mark.parametrize(("sure", "words"), [(0.5, "That is likely"), (0.1, "That is an estimate")])
def test_it_says_how_sure_that_is(viewer_client: Client, web: Domain, sure: float, words: str) -> None:
    lose(web, sure=sure)
    assert words in page(viewer_client, web)


def test_the_host_s_own_work_its_own_vcpus_and_the_unknown_have_words(viewer_client: Client, web: Domain) -> None:
    lose(web, by=[("", 10.0), (str(web.pk), 5.0)])
    text = page(viewer_client, web, "cpu")
    assert "other work of kvm1" in text
    assert "its own other vCPUs" in text
    assert "not known" in text
    assert "16 %" in text


def test_guests_that_one_may_not_see_are_not_named(web: Domain, viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takers, "names_of", lambda user, uuids: {})
    lose(web)
    blame: Blame = {"lost": 31.0, "by": [("a", 22.0), ("b", 9.0)], "sure": 1.0}
    loss = takers.named_loss(viewer, web, blame)
    assert loss.sentence == "loses 31 % of its CPU time: to guests that you may not see (31 %)"
    assert [taker.uuid for taker in loss.takers] == [""]


def test_a_calm_guest_loses_nothing_to_anybody(viewer_client: Client, web: Domain) -> None:
    write_tick(web.host, {web: guest_sample(steal=0.2)})
    assert "Nobody: it loses 0.2 % of its CPU time." in page(viewer_client, web, "cpu")


def test_without_the_history_store_the_page_says_that_nothing_is_predicted(viewer_client: Client, web: Domain) -> None:
    lose(web)
    assert "The history store does not answer." in page(viewer_client, web, "cpu")


def test_of_a_guest_that_is_off_nothing_is_predicted(viewer_client: Client, web: Domain) -> None:
    Domain.objects.filter(pk=web.pk).update(state="shut_off")
    assert "It is off: what it would want is not known." in page(viewer_client, web, "cpu")


def an_hour(
    host: Host, *, cpus_busy: float, guest: Domain | None = None, ran: float = 0.0, waited: float = 0.0
) -> Iterator[str]:
    """Of a host and of one guest there, as the collector would have written it. Rates are in CPUs."""
    now = int(time.time())
    only = f'host="{host.name}"'
    counters = {
        f'libvirt_node_cpu_seconds_total{{{only},mode="user"}}': cpus_busy,
        f"vmdash_host_steal_seconds_total{{{only}}}": waited,
    }
    if guest:
        of_guest = f'{only},domain="x",uuid="{guest.pk}",vcpu="0"'
        counters[f"libvirt_domain_vcpu_time_seconds_total{{{of_guest}}}"] = ran
        counters[f"libvirt_domain_vcpu_delay_seconds_total{{{of_guest}}}"] = waited
    for at in range(now - 3600, now + 1, 10):
        for counter, rate in counters.items():
            yield f"{counter} {rate * (at - now + 3600):.3f} {at * 1000}\n"


def record(*hours: Iterable[str]) -> None:
    content = "".join(itertools.chain(*hours))
    httpx.post(f"{settings_url()}/api/v1/import/prometheus", content=content).raise_for_status()
    httpx.get(f"{settings_url()}/internal/force_flush").raise_for_status()


def losing(host: Host, **fields: Any) -> tuple[Domain, Iterator[str]]:
    """A guest that wants more than its host has, and its last hour."""
    guest: Domain = DomainFactory.create(host=host, name="web1", vcpus=1, **fields)
    return guest, an_hour(host, cpus_busy=2.0, guest=guest, ran=0.5, waited=0.4)


def rows(text: str) -> list[str]:
    """The lines of the table of places, without marks."""
    table = text[text.index('id="places-title"') :]
    table = table[table.index("<tbody>") : table.index("</tbody>")]
    return [" ".join(strip_tags(row).split()) for row in table.split("</tr>")[:-1]]


def settings_url() -> str:
    from django.conf import settings

    return str(settings.TSDB_URL)


def test_it_would_be_better_off_where_there_is_room(operator_client: Client, empty_history: str) -> None:
    full = HostFactory.create(name="full", cpus=2)
    calm = HostFactory.create(name="calm", cpus=2)
    guest, hour = losing(full)
    record(hour, an_hour(calm, cpus_busy=0.3))
    write_tick(full, {guest: guest_sample(steal=40.0)})
    text = page(operator_client, guest, "cpu")
    assert "better</span>" in text
    assert f'href="{reverse("guest-migrate", args=[guest.pk])}?target=calm"' in text
    wanted = prediction.demand(guest, [full, calm])
    assert steal_there(wanted.guest, wanted.hosts[calm.pk], 2, 1) == 0.0


def test_in_a_fleet_of_forty_its_own_host_is_first_and_the_best_is_found(
    operator_client: Client, empty_history: str
) -> None:
    """By name, its own is the last and the best the last but one."""
    others = [HostFactory.create(name=f"forty{number:02}", cpus=2) for number in range(39)]
    guest, hour = losing(HostFactory.create(name="forty39", cpus=2))
    record(hour, *(an_hour(host, cpus_busy=2.0 if host != others[-1] else 0.3) for host in others))
    found = rows(page(operator_client, guest, "cpu"))
    assert found[0].startswith("forty39 here 2")
    assert found[1].startswith("forty38 better 2")
    assert len(found) == 31
    assert found[-1] == "and 10 more hosts"


def test_its_own_host_is_there_for_somebody_who_sees_the_guest_alone(
    client_of: Callable[[User], Client], empty_history: str
) -> None:
    """Without what the host's other guests lose, and without a link to its page."""
    host = HostFactory.create(name="alone", cpus=2)
    guest, hour = losing(host)
    record(hour)
    write_tick(host, {guest: guest_sample(steal=40.0)}, sample=host_sample(steal=77.0))
    person = UserFactory.create(role="")
    Grant.objects.create(person=person, role=Role.VIEWER, scope=Scope.GUEST, scope_id=str(guest.pk))
    text = page(client_of(person), guest, "cpu")
    assert [row.split(" %")[0] for row in rows(text)] == ["alone here 2 – 15"]
    assert reverse("host", args=["alone"]) not in text


@pytest.mark.parametrize("other", [{"driver": Driver.XEN}, {"arch": "aarch64"}])
def test_a_host_that_runs_other_guests_is_no_place_for_it(
    operator_client: Client, empty_history: str, other: dict[str, str]
) -> None:
    kind = next(iter(other))
    calm = HostFactory.create(name=f"other-{kind}", cpus=2, **other)
    alike = HostFactory.create(name=f"alike-{kind}", cpus=2)  # what its processors are is not known
    guest, hour = losing(HostFactory.create(name=f"full-{kind}", cpus=2, arch="x86_64"))
    record(hour, an_hour(calm, cpus_busy=0.0), an_hour(alike, cpus_busy=2.0))
    found = rows(page(operator_client, guest, "cpu"))
    assert [row.split()[0] for row in found] == [f"full-{kind}", f"alike-{kind}"]


def test_its_own_machine_by_another_name_is_no_other_place(operator_client: Client, empty_history: str) -> None:
    machine = uuid4()
    HostFactory.create(name="same-again", cpus=2, host_uuid=machine)
    HostFactory.create(name="not-known-which", cpus=2)
    HostFactory.create(name="other", cpus=2, host_uuid=uuid4())
    guest, hour = losing(HostFactory.create(name="same", cpus=2, host_uuid=machine))
    record(hour)
    found = rows(page(operator_client, guest, "cpu"))
    assert [row.split()[0] for row in found] == ["same", "not-known-which", "other"]


def test_a_host_with_too_little_memory_is_no_better_place(operator_client: Client, empty_history: str) -> None:
    """12 of its 16 GiB are free. The other one has less CPU to give, and nobody knows its memory."""
    small = HostFactory.create(name="small", cpus=2)
    fair = HostFactory.create(name="fair", cpus=2)
    guest, hour = losing(HostFactory.create(name="cramped", cpus=2), max_memory_kib=13 * 1024**2)
    record(hour, an_hour(small, cpus_busy=0.0), an_hour(fair, cpus_busy=1.2))
    write_tick(small)
    text = page(operator_client, guest, "cpu")
    _, first, last = rows(text)
    assert first.startswith("fair better")
    assert last.startswith("small 2")
    assert last.endswith("small has 12 GiB of memory left, too little for its 13 GiB.")
    assert "?target=small" not in text


def test_the_history_store_is_asked_once_however_many_hosts_there_are(empty_history: str) -> None:
    """It refuses what is too long."""
    hosts = [Host(pk=number, name=f"rack-7-node-{number:04}.example") for number in range(1, 1001)]
    assert len(prediction.demand(DomainFactory.create(), hosts).hosts) == 1000


def test_queries_do_not_grow_with_hosts(operator_client: Client, empty_history: str) -> None:
    guest, hour = losing(HostFactory.create(name="counted", cpus=2))
    record(hour)
    before = queries_of(lambda: page(operator_client, guest, "cpu"))
    for _ in range(5):
        HostFactory.create()
    assert queries_of(lambda: page(operator_client, guest, "cpu")) == before


def test_what_is_missing_is_missed_in_proportion() -> None:
    assert steal_there([1.0] * 30, [3.0] * 30, 2, 1) == 50.0
    assert steal_there([1.0] * 30, [1.0] * 30, 2, 1) == 0.0
    assert steal_there([2.0] * 30, [2.0] * 30, 2, 4) == 25.0


def test_with_too_little_history_nothing_is_predicted() -> None:
    assert steal_there([1.0] * 4 + [None] * 56, [3.0] * 60, 2, 1) is None


def test_a_host_in_maintenance_is_no_better_place(operator_client: Client, web: Domain) -> None:
    HostFactory.create(name="closed", maintenance=Host.Maintenance.MAINTENANCE)
    assert "?target=closed" not in page(operator_client, web, "cpu")

"""What a guest's page says of the CPU time it loses: to whom, how sure that is, and where it would be better off."""

from __future__ import annotations

import time

import httpx
import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from domains.models import Domain
from domains.steal import prediction, takers
from domains.steal.prediction import steal_there
from hosts.models import Host
from tests.factories import DomainFactory, HostFactory
from tests.services import free_port
from tests.ticks import guest_sample, write_tick
from vmdash.access.models import User
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


def record(uuid: str, host: str, *, cpus_busy: float, ran: float, waited: float) -> None:
    """An hour of a guest and of its host, as the collector would have written it."""
    now = int(time.time())
    lines = []
    for at in range(now - 3600, now + 1, 10):
        since = at - now + 3600
        labels = f'host="{host}",domain="x",uuid="{uuid}",vcpu="0"'
        for name, rate in (("time", ran), ("delay", waited)):
            lines.append(f"libvirt_domain_vcpu_{name}_seconds_total{{{labels}}} {rate * since:.3f} {at * 1000}")
        lines.append(f'libvirt_node_cpu_seconds_total{{host="{host}",mode="user"}} {cpus_busy * since:.3f} {at * 1000}')
    content = "\n".join(lines) + "\n"
    httpx.post(f"{settings_url()}/api/v1/import/prometheus", content=content).raise_for_status()
    httpx.get(f"{settings_url()}/internal/force_flush").raise_for_status()


def settings_url() -> str:
    from django.conf import settings

    return str(settings.TSDB_URL)


def test_it_would_be_better_off_where_there_is_room(operator_client: Client, victoria_metrics: str) -> None:
    full = HostFactory.create(name="full", cpus=2)
    calm = HostFactory.create(name="calm", cpus=2)
    guest = DomainFactory.create(host=full, name="web1", vcpus=1)
    record(str(guest.pk), "full", cpus_busy=2.0, ran=0.5, waited=0.4)
    record(str(DomainFactory.create(host=calm).pk), "calm", cpus_busy=0.3, ran=0.2, waited=0.0)
    write_tick(full, {guest: guest_sample(steal=40.0)})
    text = page(operator_client, guest, "cpu")
    assert "better</span>" in text
    assert f'href="{reverse("guest-migrate", args=[guest.pk])}?target=calm"' in text
    wanted = prediction.demand(guest, [full, calm])
    assert steal_there(wanted.guest, wanted.hosts[calm.pk], 2, 1) == 0.0


def test_what_is_missing_is_missed_in_proportion() -> None:
    assert steal_there([1.0] * 30, [3.0] * 30, 2, 1) == 50.0
    assert steal_there([1.0] * 30, [1.0] * 30, 2, 1) == 0.0
    assert steal_there([2.0] * 30, [2.0] * 30, 2, 4) == 25.0


def test_with_too_little_history_nothing_is_predicted() -> None:
    assert steal_there([1.0] * 10 + [None] * 200, [3.0] * 210, 2, 1) is None


def test_a_host_in_maintenance_is_no_better_place(operator_client: Client, web: Domain) -> None:
    HostFactory.create(name="closed", maintenance=Host.Maintenance.MAINTENANCE)
    assert "?target=closed" not in page(operator_client, web, "cpu")

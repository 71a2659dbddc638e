"""The pages about pools and chains, as each sort of person sees them."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from domains.capacity.words import day
from domains.models import DomainQuerySet, Outlook
from hosts.models import Host
from storage.models import Pool, Storage
from tests.factories import DomainFactory, HostFactory, PoolFactory, VolumeFactory
from tests.queries import queries_of
from vmdash.jobs.models import Job
from vmdash.virt.xml.pool_types import POOL_TYPES

pytestmark = pytest.mark.django_db
GIB = 1024**3


@pytest.fixture
def pool() -> Pool:
    return PoolFactory.create(host=HostFactory.create(name="kvm1"), name="images", path="/images")


def text_of(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return str(answer.content.decode())


def page_of(pool: Pool) -> str:
    return reverse("pool", args=[pool.host.name, pool.name])


def test_strangers_are_sent_to_sign_in(client: Client, pool: Pool) -> None:
    for url in (reverse("storage"), reverse("chains"), page_of(pool), reverse("pool-define")):
        assert client.get(url).status_code == 302


def test_everybody_who_may_view_sees_storage_and_only_some_change_it(
    viewer_client: Client, operator_client: Client, pool: Pool
) -> None:
    assert "Add pool" not in text_of(viewer_client, reverse("storage"))
    assert "Refresh" not in text_of(viewer_client, page_of(pool))
    assert viewer_client.get(reverse("pool-define")).status_code == 403
    assert viewer_client.post(page_of(pool) + "act/", {"action": "refresh"}).status_code == 403
    assert viewer_client.post(page_of(pool) + "compare/", {"with": "1"}).status_code == 403
    assert not Job.objects.exists()

    assert "Add pool" in text_of(operator_client, reverse("storage"))
    assert "Refresh" in text_of(operator_client, page_of(pool))


def test_the_list_shows_each_pool_with_how_full_it_is_and_what_it_promised(viewer_client: Client, pool: Pool) -> None:
    VolumeFactory.create(pool=pool, capacity_bytes=240 * GIB)

    page = text_of(viewer_client, reverse("storage"))

    assert "50.0 GiB" in page or "50 GiB" in page
    assert "Its volumes may grow to 240" in page


def test_pools_that_are_one_storage_stand_together(viewer_client: Client, pool: Pool) -> None:
    storage = Storage.objects.create(name="nfs1:/vms", evidence="source")
    for _ in range(2):
        PoolFactory.create(storage=storage, source="nfs1:/vms", type="netfs")

    page = text_of(viewer_client, reverse("storage"))

    assert page.index("nfs1:/vms") < page.index("On one host each") < page.index("images")
    assert "one storage, same source" in page


def test_the_list_is_filtered_and_sorted_by_its_address(viewer_client: Client, pool: Pool) -> None:
    PoolFactory.create(name="tiny", capacity_bytes=GIB, type="logical")

    assert "tiny" not in text_of(viewer_client, reverse("storage") + "?host=kvm1")
    assert "images" not in text_of(viewer_client, reverse("storage") + "?type=logical").split("<tbody")[1]
    page = text_of(viewer_client, reverse("storage") + "?sort=-size").split("<tbody")[1]
    assert page.index("images") < page.index("tiny")
    assert "No pool matches" in text_of(viewer_client, reverse("storage") + "?q=nothing")
    assert viewer_client.get(reverse("storage") + "?sort=nonsense").status_code == 400


def test_queries_do_not_grow_with_the_pools(viewer_client: Client, pool: Pool) -> None:
    before = queries_of(lambda: viewer_client.get(reverse("storage")))
    for _ in range(5):
        VolumeFactory.create()

    assert queries_of(lambda: viewer_client.get(reverse("storage"))) == before


def test_a_pool_s_page_shows_its_volumes_who_uses_them_and_their_base(viewer_client: Client, pool: Pool) -> None:
    VolumeFactory.create(pool=pool, name="base.qcow2")
    VolumeFactory.create(pool=pool, name="web1.qcow2", backing_path="/images/base.qcow2")
    disk = {"target": "vda", "source": "/images/web1.qcow2", "readonly": False}
    guest = DomainFactory.create(host=pool.host, name="web1", disks=[disk])

    page = text_of(viewer_client, page_of(pool))

    assert "base of 1" in page
    assert reverse("guest", args=[guest.pk]) in page
    assert "read <time" in page
    assert viewer_client.get(reverse("pool", args=["kvm1", "other"])).status_code == 404
    assert "web1.qcow2" not in text_of(viewer_client, page_of(pool) + "?q=base").split('id="volumes"')[1]


def test_an_action_that_is_not_possible_says_why(operator_client: Client, pool: Pool) -> None:
    page = text_of(operator_client, page_of(pool))

    assert "It is active already." in page
    assert "It is active. Stop it first." in page
    Host.objects.update(state="unreachable")
    assert "Its host kvm1 is" in text_of(operator_client, page_of(pool))


def test_an_action_becomes_a_job(operator_client: Client, pool: Pool) -> None:
    answer = operator_client.post(page_of(pool) + "act/", {"action": "refresh"}, follow=True)

    assert "Asked for: Refresh pool images on kvm1." in answer.content.decode()
    assert Job.objects.get().kind == "pool.refresh"
    again = operator_client.post(page_of(pool) + "act/", {"action": "refresh"}, follow=True)
    assert "is busy" in again.content.decode()
    assert operator_client.post(page_of(pool) + "act/", {"action": "nonsense"}).status_code == 400


def test_what_loses_something_asks_for_the_name_without_script(operator_client: Client, pool: Pool) -> None:
    Pool.objects.update(state="inactive")
    url = page_of(pool) + "act/"

    asked = operator_client.post(url, {"action": "undefine"}).content.decode()
    assert "type its name" in asked
    wrong = operator_client.post(url, {"action": "undefine", "confirm": "imagse"}).content.decode()
    assert "“imagse” is not it." in wrong
    assert not Job.objects.exists()
    operator_client.post(url, {"action": "undefine", "confirm": "images"})
    assert Job.objects.get().kind == "pool.undefine"


def test_pools_of_the_same_name_are_offered_to_be_compared(operator_client: Client, pool: Pool) -> None:
    other = PoolFactory.create(name="images", host=HostFactory.create(name="kvm2"))

    assert "images on kvm2" in text_of(operator_client, page_of(pool))
    operator_client.post(page_of(pool) + "compare/", {"with": [other.pk, "nonsense"]})

    assert Job.objects.get().parameters == {"pools": [pool.pk, other.pk]}


@pytest.mark.parametrize("type", POOL_TYPES)
def test_each_type_has_a_form_with_its_own_fields(operator_client: Client, pool: Pool, type: str) -> None:
    assert f"?type={type}" in text_of(operator_client, reverse("pool-define"))
    form = text_of(operator_client, reverse("pool-define") + f"?type={type}&host=kvm1")

    for field in POOL_TYPES[type].fields:
        assert f'name="{field}"' in form
    assert ('name="build"' in form) == POOL_TYPES[type].builds


def test_a_pool_is_asked_for_and_mistakes_are_told(operator_client: Client, pool: Pool) -> None:
    url = reverse("pool-define") + "?type=netfs"
    data = {"host": "kvm1", "name": "vms", "hosts": "nfs1", "folder": "export", "path": "/srv/vms", "start": "on"}

    assert "The folder must begin with" in operator_client.post(url, data).content.decode()
    assert (
        "kvm1 has a pool images already"
        in operator_client.post(url, data | {"folder": "/export", "name": "images"}).content.decode()
    )
    answer = operator_client.post(url, data | {"folder": "/export"})

    job = Job.objects.get()
    assert answer["Location"] == reverse("job", args=[job.pk])
    assert job.parameters["spec"]["hosts"] == ["nfs1"]
    assert (job.parameters["start"], job.parameters["autostart"], job.parameters["build"]) == (True, False, False)


def test_chains_are_a_tree_with_the_guests_that_use_them(viewer_client: Client, pool: Pool) -> None:
    assert "No image lies on another one" in text_of(viewer_client, reverse("chains"))
    VolumeFactory.create(pool=pool, name="base.qcow2")
    VolumeFactory.create(pool=pool, name="web1.qcow2", backing_path="/images/base.qcow2")
    DomainFactory.create(
        host=pool.host, name="web1", disks=[{"target": "vda", "source": "/images/web1.qcow2", "readonly": False}]
    )

    page = text_of(viewer_client, reverse("chains"))

    assert page.index("base.qcow2") < page.index("web1.qcow2") < page.rindex("web1</span>")
    assert "No chain has" in text_of(viewer_client, reverse("chains") + "?q=nothing")
    assert "base.qcow2" in text_of(viewer_client, reverse("chains") + "?q=WEB1")


def test_the_host_s_page_leads_to_its_pools(viewer_client: Client, pool: Pool) -> None:
    pool.host.pools = [{"name": "images", "type": "dir", "state": "running", "autostart": True,
                        "capacity_bytes": 1, "available_bytes": 1}]  # fmt: skip
    pool.host.save()

    assert page_of(pool) in text_of(viewer_client, reverse("host", args=["kvm1"]))


def foreseen(pool: Pool, **fields: object) -> None:
    now = timezone.now()
    row = {"made_at": now, "hours": 336, "total": 100, "limit": 95, "horizon": date(2027, 6, 1), **fields}
    Outlook.objects.create(scope="pool", key=str(pool.pk), resource="storage", **row)


def column_of(page: str, pool: Pool) -> str:
    """The cell of a pool that says when it is full."""
    row = page.split(f'href="{page_of(pool)}"')[1].split("</tr>")[0]
    return re.sub(r"\s+", " ", row.split("<td")[7])


def test_the_list_says_when_each_pool_is_full(viewer_client: Client, pool: Pool) -> None:
    later = date.today() + timedelta(days=40)
    soonest, latest = later - timedelta(days=10), later + timedelta(days=90)
    foreseen(pool, full_from=soonest, full_at=later, full_by=latest)
    full, calm, possible, new = (PoolFactory.create(host=pool.host, name=name) for name in "abcd")
    gone = date.today() - timedelta(days=1)
    foreseen(full, full_from=gone, full_at=gone, full_by=gone)
    foreseen(calm)
    foreseen(possible, full_from=date(2027, 5, 1))

    page = text_of(viewer_client, reverse("storage"))

    assert f">{day(later)}<" in column_of(page, pool)
    assert f"{day(soonest)} at the earliest, {day(latest)} at the latest" in column_of(page, pool)
    assert 'class="bad"' in column_of(page, full)
    assert ">now<" in column_of(page, full)
    assert "Not full before 1 Jun 2027, as far as the history allows to look." in column_of(page, calm)
    assert ">not foreseen<" in column_of(page, possible)
    assert "possible from 1 May 2027 on" in column_of(page, possible)
    assert ">not known yet<" in column_of(page, new)
    assert "A forecast takes three weeks of history." in column_of(page, new)


def test_a_pool_that_is_not_foreseen_says_why(viewer_client: Client, pool: Pool) -> None:
    """Time alone brings a forecast of the first only."""
    unsized = PoolFactory.create(host=pool.host, name="unsized", capacity_bytes=0, available_bytes=0)
    old = PoolFactory.create(host=HostFactory.create(name="kvm2", enabled=False), name="old")

    page = text_of(viewer_client, reverse("storage"))

    assert ">not known yet<" in column_of(page, pool)
    for one, why in ((unsized, "its size is not known."), (old, "its host is disabled and not counted.")):
        assert ">not known<" in column_of(page, one)
        assert f"No forecast: {why}" in column_of(page, one)


def test_the_list_is_sorted_by_when_pools_are_full(viewer_client: Client, pool: Pool) -> None:
    soon = PoolFactory.create(host=pool.host, name="soon")
    PoolFactory.create(host=pool.host, name="a-new-one")
    for one, days in ((pool, 90), (soon, 30)):
        foreseen(one, full_at=date.today() + timedelta(days=days))

    def order(sort: str) -> list[str]:
        page = text_of(viewer_client, f"{reverse('storage')}?sort={sort}")
        return re.findall(r'class="name"><a href="/storage/pools/kvm1/([\w-]+)/"', page)

    assert order("full") == ["soon", "images", "a-new-one"]
    assert order("-full") == ["a-new-one", "images", "soon"]


def test_forecasts_are_told_to_those_who_see_every_guest(
    viewer_client: Client, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreseen(pool, full_at=date.today() + timedelta(days=40))
    DomainFactory.create(host=pool.host)
    monkeypatch.setattr(DomainQuerySet, "visible_to", lambda self, user: self.none())
    assert "Told to whoever sees every guest" in column_of(text_of(viewer_client, reverse("storage")), pool)

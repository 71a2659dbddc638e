"""What a host saves by merging equal pages, on its page; and how that is changed, by whom."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from hosts.models import Host
from tests.factories import HostFactory
from vmdash.access.models import User
from vmdash.jobs.models import Job
from vmdash.virt.node import Ksm, Node

pytestmark = pytest.mark.django_db

TOLD = {
    "pages_to_scan": 100, "sleep_ms": 20, "shared": 1000, "sharing": 262_144, "unshared": 5000, "full_scans": 12,
    "merge_across_nodes": True, "page_kib": 4,
}  # fmt: skip
ADDRESS = "/hosts/kvm1/ksm/"


@pytest.fixture
def kvm1() -> Host:
    return HostFactory.create(name="kvm1", ksm=TOLD)


def page(client: Client, status: int = 200, address: str = "/hosts/kvm1/") -> str:
    answer = client.get(address)
    assert answer.status_code == status
    return " ".join(answer.content.decode().split())


def told(kvm1: Host, **fields: object) -> None:
    Host.objects.filter(pk=kvm1.pk).update(ksm=TOLD | fields)


def test_the_host_s_page_tells_what_is_saved_and_how_hard_it_looks(viewer_client: Client, kvm1: Host) -> None:
    text = page(viewer_client)
    assert "<b>1 GiB</b>" in text
    assert "1,000 shared, 262,144 more would be there without it" in text
    assert "100 pages, then a pause of 20 ms: at most 19.5 MiB/s" in text
    assert "It has gone through all that may be merged 12 times" in text
    assert ADDRESS not in text


def test_no_pages_to_scan_is_as_near_to_off_as_it_gets(viewer_client: Client, kvm1: Host) -> None:
    told(kvm1, pages_to_scan=0)
    assert "Off: it looks at no pages. What is merged stays so until a guest writes to it." in page(viewer_client)


def test_one_that_never_scanned_may_be_off_where_libvirt_does_not_look(viewer_client: Client, kvm1: Host) -> None:
    told(kvm1, full_scans=0, shared=0, sharing=0)
    assert "libvirt neither tells nor changes" in page(viewer_client)


def test_a_host_that_does_not_tell_the_size_of_its_pages(viewer_client: Client, kvm1: Host) -> None:
    told(kvm1, page_kib=None)
    assert "the host does not tell how large a page is" in page(viewer_client)


def test_a_host_without_it_shows_nothing_of_it(administrator_client: Client, kvm1: Host) -> None:
    Host.objects.filter(pk=kvm1.pk).update(ksm=None)
    assert "KSM" not in page(administrator_client)
    assert "has no KSM" in page(administrator_client, address=ADDRESS)
    answer = administrator_client.post(ADDRESS, {"pages_to_scan": "5", "sleep_ms": "20"})
    assert answer.status_code == 409
    assert not Job.objects.exists()


@pytest.mark.parametrize("who", ["nobody", "viewer", "help_desk", "operator"])
def test_only_those_who_manage_hosts_change_it(
    who: str, request: pytest.FixtureRequest, client_of: Callable[[User], Client], kvm1: Host
) -> None:
    client = client_of(request.getfixturevalue(who))
    assert client.get(ADDRESS).status_code == 403
    assert client.post(ADDRESS, {"pages_to_scan": "0", "sleep_ms": "20"}).status_code == 403
    assert not Job.objects.exists()


def test_strangers_are_sent_to_sign_in(client: Client, kvm1: Host) -> None:
    assert client.get(ADDRESS).status_code == 302


def test_changing_it_makes_a_job(administrator_client: Client, kvm1: Host) -> None:
    assert 'value="100"' in page(administrator_client, address=ADDRESS)
    assert administrator_client.post(ADDRESS, {"pages_to_scan": "0", "sleep_ms": "50"}).status_code == 302
    job = Job.objects.get()
    assert (job.kind, job.label) == ("host.ksm", "Have KSM on kvm1 look at no pages any more")
    assert job.virsh == "virsh node-memory-tune --shm-pages-to-scan 0 --shm-sleep-millisecs 50"


@pytest.mark.parametrize("asked", [{}, {"pages_to_scan": "-1"}, {"pages_to_scan": "x"}, {"sleep_ms": "0"}])
def test_what_cannot_be_is_refused(administrator_client: Client, kvm1: Host, asked: dict[str, str]) -> None:
    answer = administrator_client.post(ADDRESS, {"pages_to_scan": "1", "sleep_ms": "1"} | asked if asked else {})
    assert answer.status_code == 400
    assert not Job.objects.exists()


def test_what_the_kernel_tells_is_read() -> None:
    class Told:
        def getMemoryParameters(self) -> dict[str, int]:
            return {"shm_pages_to_scan": 100, "shm_sleep_millisecs": 20, "shm_pages_sharing": 5}

    assert Node(Told(), "kvm1").ksm() == Ksm(100, 20, 0, 5, 0, 0, None, None)

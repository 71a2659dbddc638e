"""The page on which guests are cloned and made templates: who sees it, what it says, what it asks for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from domains.models import Domain
from storage.models import Pool, Volume
from tests.factories import DomainFactory, HostFactory, JobFactory
from vmdash.access.models import AuditEntry, User
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

XML = """<domain type='qemu'><name>web1</name><memory>1024</memory><devices>
<disk type='file' device='disk'>
<driver type='qcow2'/><source file='/images/web1.qcow2'/><target dev='vda' bus='virtio'/>
</disk>
<disk type='file' device='cdrom'><source file='/images/debian.iso'/><target dev='sda' bus='sata'/><readonly/></disk>
<interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/></interface>
</devices></domain>"""
GIB = 1 << 30


def pool_of(domain: Domain, name: str = "default", **values: object) -> Pool:
    fields = {
        "type": "dir",
        "state": "running",
        "path": "/images",
        "available_bytes": 100 * GIB,
        "seen_at": timezone.now(),
    }
    return Pool.objects.create(host=domain.host, uuid=domain.uuid, name=name, **(fields | values))


def guest(**values: object) -> Domain:
    interfaces = [{"mac": "52:54:00:00:00:01", "kind": "network", "source": "default"}]
    fields = {"name": "web1", "state": "shut_off", "xml": XML, "interfaces": interfaces}
    domain = DomainFactory.create(**(fields | values))
    volume = {"format": "qcow2", "capacity_bytes": 8 * GIB, "allocation_bytes": 2 * GIB, "kind": "file"}
    Volume.objects.create(
        pool=pool_of(domain), name="web1.qcow2", path="/images/web1.qcow2", key="/images/web1.qcow2", **volume
    )
    return domain


def address(domain: Domain) -> str:
    return f"/domains/{domain.pk}/clone/"


def fields(domain: Domain, **values: object) -> dict[str, object]:
    usual = {"name": "web2", "count": 1, "first": 1, "kind": "full", "place": domain.host_id, "at_once": 2}
    return usual | values


def ask(client: Client, domain: Domain, **values: object) -> str:
    """The page, with what would happen."""
    return client.post(address(domain), fields(domain, **values)).content.decode()


@pytest.mark.parametrize(
    ("who", "status"), [("anonymous", 302), ("nobody", 403), ("viewer", 403), ("help_desk", 403), ("operator", 200)]
)
def test_who_may_clone(who: str, status: int, request: pytest.FixtureRequest) -> None:
    domain = guest()
    client = request.getfixturevalue(f"{who}_client")
    assert client.get(address(domain)).status_code == status
    posted = client.post(address(domain), fields(domain, do="clone"))
    assert posted.status_code == (302 if status in (200, 302) else 403)
    assert Job.objects.exists() == (who == "operator")


def test_the_page_of_a_guest_leads_there_for_those_who_may(viewer_client: Client, operator_client: Client) -> None:
    domain = guest()
    assert address(domain) in operator_client.get(f"/domains/{domain.pk}/").content.decode()
    assert address(domain) not in viewer_client.get(f"/domains/{domain.pk}/").content.decode()


def test_it_says_what_will_happen(operator_client: Client) -> None:
    page = operator_client.get(address(guest())).content.decode()
    for words in ("web2", "100 GiB free", "2 GiB", "default/web2.qcow2", "52:54:00:", "sda is shared: it is only read"):
        assert words in page
    assert "52:54:00:00:00:01" not in page


def test_one_clone_is_asked_for(operator_client: Client) -> None:
    domain = guest()
    shown = "52:54:00:11:22:33"
    answer = operator_client.post(address(domain), fields(domain, do="clone", mac=shown, start="on"))
    job = Job.objects.get()
    assert answer.headers["Location"] == f"/jobs/{job.pk}/"
    assert (job.kind, job.label, job.exclusive, job.target_id) == (
        "domain.clone", "Clone web1 as web2", True, str(domain.pk),
    )  # fmt: skip
    clone = job.parameters["clone"]
    assert (clone["macs"], clone["volumes"], job.parameters["start"]) == ([shown], {"vda": "web2.qcow2"}, True)
    assert AuditEntry.objects.filter(action="domain.clone", target_name="web1").exists()


def test_several_are_numbered(operator_client: Client) -> None:
    domain = guest()
    operator_client.post(address(domain), fields(domain, do="clone", name="ci-{n:2}", count=3, first=9, at_once=4))
    job = Job.objects.get()
    assert (job.kind, job.parameters["at_once"]) == ("domain.clone_many", 4)
    clones = job.parameters["clones"]
    assert [one["name"] for one in clones] == ["ci-09", "ci-10", "ci-11"]
    assert len({one["uuid"] for one in clones}) == len({one["macs"][0] for one in clones}) == 3


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "web 2"}, "cannot be the name of a guest"),
        ({"count": 3}, "3 clones need 3 names"),
        ({"count": 101}, "less than or equal to 100"),
        ({"name": "taken"}, "has a guest taken already"),
        ({"kind": "linked"}, "only a template can be the source"),
        ({"name": "web1"}, "has a guest web1 already"),
        ({"pool_vda": "nowhere"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_is_said_before(values: dict[str, object], said: str, operator_client: Client) -> None:
    domain = guest()
    DomainFactory.create(name="taken", host=domain.host)
    assert said in ask(operator_client, domain, **values)
    operator_client.post(address(domain), fields(domain, do="clone", **values))
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"has_managed_save": True}, "It has a saved state"),
        ({"split_brain": True}, "active on two hosts at once"),
        ({"xml": XML.replace("type='file' device='disk'", "type='nvme' device='disk'")}, "vda cannot be copied"),
        ({"xml": XML.replace("web1.qcow2", "other.qcow2")}, "is in no storage pool"),
        ({"xml": ""}, "has not been read yet"),
    ],
)
def test_a_guest_that_cannot_be_cloned_says_why(change: dict[str, object], said: str, operator_client: Client) -> None:
    assert said in ask(operator_client, guest(**change))


def test_room_and_networks_are_looked_at_first(operator_client: Client) -> None:
    domain = guest()
    Pool.objects.update(available_bytes=GIB)
    assert "1 GiB free, and 2 GiB are needed" in ask(operator_client, domain)
    other = DomainFactory.create(host=HostFactory.create(name="kvm9"))
    pool_of(other)
    assert "kvm9 has no network default" in ask(operator_client, domain, place=other.host_id)
    other.host.networks = [{"name": "default", "active": True}]
    other.host.save()
    page = ask(operator_client, domain, place=f"{other.host_id}/default")
    assert "note bad" not in page


def test_what_happens_to_a_running_source_is_said(operator_client: Client) -> None:
    running = ask(operator_client, guest(state="running", agent="connected"))
    assert "merged back" in running and "guest agent freezes" in running
    Domain.objects.update(agent="silent")
    assert "as after a power failure" in ask(operator_client, Domain.objects.get())


def test_a_guest_that_is_busy_is_not_cloned(operator_client: Client) -> None:
    domain = guest()
    JobFactory.create(domain=domain)
    page = operator_client.post(address(domain), fields(domain, do="clone")).content.decode()
    assert "web1 is busy" in page


def test_a_template_is_cloned_by_many_at_a_time(operator_client: Client) -> None:
    domain = guest(is_template=True)
    for number in (1, 2):
        operator_client.post(address(domain), fields(domain, do="clone", name=f"copy-{number}", kind="linked"))
    assert [job.exclusive for job in Job.objects.all()] == [False, False]
    page = operator_client.get(address(domain)).content.decode()
    assert "It is being cloned." in page


def test_a_guest_that_is_off_is_made_a_template(operator_client: Client) -> None:
    domain = guest()
    operator_client.post(f"{address(domain)}template/", {"make": "template"})
    assert Job.objects.get().label == "Make web1 a template"


def test_a_running_guest_is_no_template(operator_client: Client, operator: User) -> None:
    domain = guest(state="running")
    page = operator_client.post(f"{address(domain)}template/", {"make": "template"}, follow=True).content.decode()
    assert "Cannot make web1 a template: It runs" in page
    assert not Job.objects.exists()


def test_a_viewer_makes_no_template(viewer_client: Client) -> None:
    assert viewer_client.post(f"{address(guest())}template/", {"make": "template"}).status_code == 403


def test_a_template_that_clones_stand_on_stays_one(operator_client: Client) -> None:
    domain = guest(is_template=True)
    pool = Pool.objects.get()
    Volume.objects.create(
        pool=pool, name="web2.qcow2", path="/images/web2.qcow2", key="2", kind="file", backing_path="/images/web1.qcow2"
    )
    page = operator_client.post(f"{address(domain)}template/", {"make": "guest"}, follow=True).content.decode()
    assert "Linked clones stand on its disk vda: web2.qcow2" in page


def test_templates_stand_out(viewer_client: Client, client_of: Callable[[User], Client]) -> None:
    domain = guest(is_template=True)
    for page in ("/domains/", f"/domains/{domain.pk}/"):
        assert '<span class="tag">template</span>' in viewer_client.get(page).content.decode()

"""The page on which a guest is made: who sees it, what it offers, what it asks for."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from domains.defining.wish import VolumeNamed, Wish
from hosts.models import Host
from storage.models import Pool, Volume
from tests.factories import DomainFactory, HostFactory, PoolFactory, VolumeFactory
from vmdash.access.models import AuditEntry
from vmdash.jobs.models import Job
from vmdash.virt.xml import parse
from vmdash.virt.xml.domain import DomainDefinition
from vmdash.virt.xml.new_guest import NewDisk, NewGuest

pytestmark = pytest.mark.django_db

URL = "/domains/new/"
GIB = 1 << 30


@pytest.fixture
def host() -> Host:
    networks = [{"name": "default", "uuid": "", "active": True, "autostart": True, "bridge": "br0", "forward": ""}]
    return HostFactory.create(name="kvm1", state="up", networks=networks, memory_kib=8 << 20)


@pytest.fixture
def pool(host: Host) -> Pool:
    return PoolFactory.create(host=host, name="images", state="running", path="/images", available_bytes=50 * GIB)


def volume(pool: Pool, name: str, format: str = "qcow2", **fields: Any) -> Volume:
    path = f"/images/{name}"
    return VolumeFactory.create(pool=pool, name=name, path=path, key=path, kind="file", format=format, **fields)


def asked(**fields: Any) -> dict[str, Any]:
    return {
        "name": "web9",
        "vcpus": 2,
        "memory": "512 MiB",
        "disk": "new",
        "pool": "images",
        "size": "5 GiB",
        "network": "default",
        "firmware": "bios",
        "start": "on",
    } | fields


def test_only_operators_may_make_guests(
    anonymous_client: Client,
    nobody_client: Client,
    viewer_client: Client,
    help_desk_client: Client,
    operator_client: Client,
    pool: Pool,
) -> None:
    assert anonymous_client.get(URL).status_code == 302
    for client in (nobody_client, viewer_client, help_desk_client):
        assert client.get(URL).status_code == 403
        assert client.post(URL, asked()).status_code == 403
    assert operator_client.get(URL).status_code == 200
    assert not Job.objects.exists()


def test_the_form_offers_what_the_host_has(operator_client: Client, pool: Pool) -> None:
    volume(pool, "free.qcow2")
    volume(pool, "debian.iso", "iso")
    volume(pool, "safe.qcow2", encrypted=True)
    volume(PoolFactory.create(state="running"), "elsewhere.qcow2")
    page = operator_client.get(URL).content.decode()
    assert '<option value="images/free.qcow2">' in page
    assert '<option value="images/debian.iso">' in page
    assert "50 GiB free" in page
    assert "safe.qcow2" not in page
    assert "elsewhere.qcow2" not in page


def test_a_guest_with_a_new_disk_becomes_a_job(operator_client: Client, host: Host, pool: Pool) -> None:
    answer = operator_client.post(URL, asked(title="Shop"))
    job = Job.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/jobs/{job.pk}/")
    assert (job.kind, job.label, job.target_name) == ("domain.define", "Make guest web9 on kvm1", "web9")
    assert Wish.of(job.parameters) == Wish(
        "web9", "Shop", 2, 512 << 20, VolumeNamed("images", "web9.qcow2", 5 * GIB), None, "default", False, True
    )


def test_a_volume_chosen_on_its_page_is_preset(operator_client: Client, host: Host, pool: Pool) -> None:
    volume(pool, "free.qcow2")
    link = "/domains/new/?host=kvm1&amp;disk=images/free.qcow2"
    assert link in operator_client.get("/storage/pools/kvm1/images/volumes/free.qcow2/").content.decode()
    page = operator_client.get(link.replace("&amp;", "&")).content.decode()
    assert '<option value="images/free.qcow2" selected>' in page
    operator_client.post(URL, asked(disk="images/free.qcow2"))
    assert Wish.of(Job.objects.get().parameters).disk == VolumeNamed("images", "free.qcow2")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "This field is required"),
        ({"name": "a/b"}, "no slashes"),
        ({"memory": "1 MiB"}, "at least 16 MiB"),
        ({"memory": "20 TiB"}, "8 GiB of memory in all"),
        ({"vcpus": 0}, "greater than or equal to 1"),
        ({"disk": "images/absent"}, "Select a valid choice"),
        ({"size": "0"}, "at least 1 MiB"),
        ({"pool": ""}, "needs a pool"),
        ({"network": "other"}, "Select a valid choice"),
        ({"name": "taken"}, "a guest of that name already"),
        ({"name": "there"}, "has a volume there.qcow2 already"),
    ],
)
def test_what_makes_no_sense_is_said_and_changes_nothing(
    operator_client: Client, host: Host, pool: Pool, fields: dict[str, Any], words: str
) -> None:
    DomainFactory.create(host=host, name="taken")
    volume(pool, "there.qcow2")
    answer = operator_client.post(URL, asked(**fields))
    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert not Job.objects.exists()


def test_a_disk_that_another_guest_has_is_refused(operator_client: Client, host: Host, pool: Pool) -> None:
    volume(pool, "web1.qcow2")
    disk = {"target": "vda", "bus": "virtio", "device": "disk", "source": "/images/web1.qcow2", "readonly": False}
    DomainFactory.create(host=host, name="web1", disks=[disk | {"format": "qcow2", "backing": []}])
    answer = operator_client.post(URL, asked(disk="images/web1.qcow2"))
    assert answer.status_code == 400
    assert "web1" in answer.content.decode()
    assert not Job.objects.exists()


def test_a_host_that_is_away_gets_no_guest(operator_client: Client, host: Host, pool: Pool) -> None:
    Host.objects.update(state="unreachable", state_since=timezone.now())
    answer = operator_client.post(URL, asked())
    assert answer.status_code == 400
    assert "kvm1 does not answer" in answer.content.decode()
    assert not AuditEntry.objects.filter(action="domain.define").exists()


def test_without_hosts_the_page_says_how_to_begin(operator_client: Client) -> None:
    assert "No host that could have it" in operator_client.get(URL).content.decode()
    assert operator_client.get(URL, {"host": "absent"}).status_code == 404


def test_the_definition_is_what_was_asked_for() -> None:
    disks = (NewDisk("/images/debian.iso", "raw", cdrom=True), NewDisk("/dev/vg/web9", "raw", block=True))
    text = NewGuest(
        name="<web9>", uuid="c0ffee00-0000-4000-8000-000000000001", type="kvm", arch="x86_64", vcpus=2,
        memory_kib=1024, disks=disks, network="default", mac="52:54:00:00:00:09", efi=True,
    ).to_xml()  # fmt: skip
    found = DomainDefinition.parse(text)
    assert (found.name, found.vcpus, found.memory_kib, found.firmware) == ("<web9>", 2, 1024, "efi")
    assert [(one.target, one.device, one.type, one.source) for one in found.disks] == [
        ("sda", "cdrom", "file", "/images/debian.iso"),
        ("vda", "disk", "block", "/dev/vg/web9"),
    ]
    assert [boot.get("order") for boot in parse(text).iterfind("./devices/disk/boot")] == ["1", "2"]

"""What is done to volumes, by a real worker on a real daemon with real storage."""

from __future__ import annotations

import subprocess

import pytest

from storage import undoing, volume_services
from storage.models import Pool, Volume, VolumeSecret
from storage.volume_rows import reread, volume_id
from tests.factories import JobFactory
from tests.polling import poll
from tests.storage_host import StorageHost
from vmdash.access.models import User
from vmdash.exceptions import VmdashError
from vmdash.jobs.context import JobContext
from vmdash.jobs.enqueue import enqueue
from vmdash.jobs.models import Job
from vmdash.jobs.services import retry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]

MIB = 1 << 20
GUEST = """<domain type='qemu'><name>web1</name><memory unit='MiB'>16</memory><os><type>hvm</type></os>
<devices><disk type='file'><source file='{}'/><target dev='vda'/></disk></devices></domain>"""


@pytest.fixture
def pool(storage_host: StorageHost) -> Pool:
    return storage_host.pool_row()


def ended(job: Job) -> Job:
    poll(lambda: Job.objects.filter(pk=job.pk).exclude(finished_at=None).exists(), 60, f"{job.label} to end")
    job.refresh_from_db()
    return job


def done(job: Job) -> Job:
    job = ended(job)
    assert job.state == "succeeded", f"{job.error} {job.error_detail}"
    return job


def known(storage_host: StorageHost, pool: Pool, name: str) -> Volume:
    reread(storage_host.connection, pool, name)
    return Volume.objects.select_related("pool__host").get(pool=pool, name=name)


def test_volumes_are_made_in_every_manner(storage_host: StorageHost, pool: Pool, operator: User) -> None:
    done(volume_services.create(pool=pool, name="sparse.qcow2", capacity_bytes=64 * MIB, user=operator))
    job = volume_services.create(
        pool=pool, name="full.raw", capacity_bytes=8 * MIB, user=operator, format="raw", preallocated=True
    )
    assert job.virsh.endswith("vol-create-as images full.raw 8388608b --format raw --allocation 8388608b")
    done(job)
    base = Volume.objects.get(name="sparse.qcow2")
    done(volume_services.create(pool=pool, name="top", capacity_bytes=128 * MIB, user=operator, backing=base))
    assert storage_host.names() == {"sparse.qcow2", "full.raw", "top"}
    full, top = Volume.objects.get(name="full.raw"), Volume.objects.get(name="top")
    assert (full.format, full.capacity_bytes, full.allocation_bytes >= 8 * MIB) == ("raw", 8 * MIB, True)
    assert (top.backing_path, top.backing_format) == (base.path, "qcow2")


def test_an_encrypted_volume_opens_with_its_passphrase_only(
    storage_host: StorageHost, pool: Pool, operator: User
) -> None:
    job = volume_services.create(
        pool=pool, name="safe.qcow2", capacity_bytes=4 * MIB, user=operator, passphrase="open sesame"
    )
    assert "open sesame" not in str(job.parameters) + job.virsh
    done(job)
    assert Volume.objects.get(name="safe.qcow2").encrypted
    image = storage_host.pool_path() / "safe.qcow2"

    def opens(word: str) -> bool:
        options = f"driver=qcow2,file.filename={image},encrypt.key-secret=s"
        command = ["qemu-io", "--object", f"secret,id=s,data={word}", "--image-opts", "-c", "read 0 1k", options]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    assert opens("open sesame")
    assert not opens("another word")
    done(volume_services.delete(volume=Volume.objects.get(name="safe.qcow2"), user=operator, confirm="safe.qcow2"))
    assert not VolumeSecret.objects.exists()
    assert storage_host.connection.raw.numOfSecrets() == 0


def test_a_volume_is_cloned_converted_resized_wiped_and_deleted(
    storage_host: StorageHost, pool: Pool, operator: User
) -> None:
    storage_host.disk("a.qcow2", "write -P 7 0 8M")
    source = known(storage_host, pool, "a.qcow2")
    done(volume_services.clone(source=source, pool=pool, name="b.qcow2", user=operator))
    job = done(volume_services.clone(source=source, pool=pool, name="c.raw", user=operator, format="raw"))
    assert job.kind == "volume.convert"
    copy = Volume.objects.select_related("pool__host").get(name="c.raw")
    assert (copy.format, copy.capacity_bytes) == ("raw", 256 * MIB)
    done(volume_services.resize(volume=copy, capacity_bytes=300 * MIB, user=operator))
    copy.refresh_from_db()
    assert copy.capacity_bytes == 300 * MIB
    done(volume_services.resize(volume=copy, capacity_bytes=8 * MIB, user=operator, shrink=True))
    done(volume_services.wipe(volume=copy, user=operator, confirm="c.raw"))
    assert not any((storage_host.pool_path() / "c.raw").read_bytes())
    done(volume_services.delete(volume=copy, user=operator, confirm="c.raw"))
    assert storage_host.names() == {"a.qcow2", "b.qcow2"}
    assert not Volume.objects.filter(name="c.raw").exists()


def test_what_a_guest_has_is_neither_wiped_nor_deleted(storage_host: StorageHost, pool: Pool, operator: User) -> None:
    path = storage_host.disk("a.qcow2")
    volume = known(storage_host, pool, "a.qcow2")
    guest = storage_host.connection.define(GUEST.format(path))
    try:
        job = ended(volume_services.delete(volume=volume, user=operator, confirm="a.qcow2"))
        assert job.error.startswith("Cannot delete a.qcow2: it belongs to the guest web1.")
    finally:
        guest.undefine()
    done(retry(job=job, user=operator))
    assert storage_host.names() == set()


def test_a_base_with_overlays_that_no_survey_knows_yet_is_kept(
    storage_host: StorageHost, pool: Pool, operator: User
) -> None:
    base = storage_host.disk("base.qcow2")
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", base.with_name("top")], check=True
    )
    storage_host.own(base.with_name("top"))
    storage_host.connection.pool("images").refresh()
    volume = known(storage_host, pool, "base.qcow2")
    for ask in (
        lambda: volume_services.delete(volume=volume, user=operator, confirm="base.qcow2"),
        lambda: volume_services.wipe(volume=volume, user=operator, confirm="base.qcow2"),
        lambda: volume_services.resize(volume=volume, capacity_bytes=512 * MIB, user=operator),
    ):
        assert "other volumes stand on it and would be destroyed: top in images" in ended(ask()).error
    assert storage_host.names() == {"base.qcow2", "top"}


def test_a_name_that_was_taken_meanwhile_is_left_alone(storage_host: StorageHost, pool: Pool, operator: User) -> None:
    storage_host.disk("b", "write -P 3 0 1M", format="raw")
    job = ended(volume_services.create(pool=pool, name="b", capacity_bytes=MIB, user=operator))
    assert "there is a volume of that name already" in job.error
    assert storage_host.names() == {"b"}


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_half_made_volume_of_a_killed_worker_goes(
    storage_host: StorageHost, pool: Pool, operator: User, cancelled: bool
) -> None:
    storage_host.disk("b", format="raw")
    job = JobFactory.create(
        state="running",
        kind="volume.create",
        target_kind="volume",
        target_id=volume_id(pool, "b"),
        target_name="b",
        host_name=pool.host.name,
        requested_by=operator,
        parameters={"pool": pool.pk, "name": "b", "capacity_bytes": MIB},
        cancel_requested_at="2026-01-01T00:00Z" if cancelled else None,
    )
    undoing.mark(JobContext(job, time_limit_s=1), "begun", pool.host, "images", "b")
    enqueue(job)
    assert ended(job).state == ("cancelled" if cancelled else "failed")
    assert storage_host.names() == set()


def test_what_an_interrupted_job_never_began_is_somebody_elses(
    storage_host: StorageHost, pool: Pool, operator: User
) -> None:
    storage_host.disk("b", format="raw")
    job = JobFactory.create(
        state="running",
        kind="volume.clone",
        target_kind="volume",
        target_id=volume_id(pool, "b"),
        requested_by=operator,
        parameters={"pool": pool.pk, "name": "b", "capacity_bytes": MIB},
    )
    enqueue(job)
    assert ended(job).error == "It was interrupted: nothing was made. Try again."
    assert storage_host.names() == {"b"}


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"name": "a/b"}, "cannot be the name"),
        ({"name": ".."}, "cannot be the name"),
        ({"capacity_bytes": 0}, "needs a size"),
        ({"capacity_bytes": 1 << 60, "preallocated": True}, "not enough space"),
        ({"format": "vmdk"}, "no format"),
        ({"passphrase": "short"}, "too short"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    storage_host: StorageHost, pool: Pool, operator: User, wish: dict[str, object], words: str
) -> None:
    with pytest.raises(VmdashError, match=words):
        volume_services.create(**{"pool": pool, "name": "a", "capacity_bytes": MIB, "user": operator, **wish})  # type: ignore[arg-type]


def test_a_stopped_pool_a_viewer_and_a_wrong_name_are_refused(pool: Pool, operator: User, viewer: User) -> None:
    volume = Volume.objects.create(pool=pool, name="a", key="/a", path="/a", kind="file", capacity_bytes=MIB)
    with pytest.raises(VmdashError, match="You may not change storage pools and volumes"):
        volume_services.create(pool=pool, name="b", capacity_bytes=MIB, user=viewer)
    with pytest.raises(VmdashError, match="To delete a, type its name"):
        volume_services.delete(volume=volume, user=operator, confirm="b")
    with pytest.raises(VmdashError, match="would get smaller"):
        volume_services.resize(volume=volume, capacity_bytes=1, user=operator)
    pool.state = "inactive"
    with pytest.raises(VmdashError, match=r"Pool images on store1 is stopped\. Start the pool first"):
        volume_services.create(pool=pool, name="b", capacity_bytes=MIB, user=operator)

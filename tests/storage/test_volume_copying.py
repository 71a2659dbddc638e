"""Copies on one host and between hosts, done by real daemons."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from storage import copying, undoing
from storage.copying import copy_between_hosts, copy_volume
from storage.undoing import Fate, settle
from tests.factories import JobFactory
from tests.storage_host import StorageHost
from vmdash.exceptions import InvalidInput
from vmdash.jobs.context import Cancelled, JobContext, WorkerStopping
from vmdash.jobs.models import Job
from vmdash.virt.errors import AlreadyExists, VolumeNotFound
from vmdash.virt.xml.volume import VolumeSpec

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1 << 20


def context(**fields: object) -> JobContext:
    return JobContext(JobFactory.create(state="running", kind="volume.clone", **fields), time_limit_s=600)


def content(path: Path, format: str) -> str:
    """The SHA-256 of what a guest would see."""
    raw = path.with_name("raw-of-it")
    subprocess.run(["qemu-img", "convert", "-f", format, "-O", "raw", path, raw], check=True)
    digest = hashlib.file_digest(raw.open("rb"), "sha256").hexdigest()
    raw.unlink()
    return digest


def copy_to_other(
    ctx: JobContext, here: StorageHost, there: StorageHost, spec: VolumeSpec, verify: bool = False
) -> str:
    return copy_between_hosts(
        ctx,
        source_host=here.row("store1"),
        source_pool="images",
        source_name="a.qcow2",
        target_host=there.row("store2"),
        target_pool="images",
        spec=spec,
        verify=verify,
    )


def test_a_copy_has_the_same_content_and_its_progress_is_told(storage_host: StorageHost) -> None:
    storage_host.pool()
    source = storage_host.disk("a.qcow2", "write -P 7 0 64M")
    ctx = context()
    copy_volume(ctx, storage_host.row(), "images", "a.qcow2", "images", VolumeSpec("b.raw", 256 * MIB, format="raw"))
    assert content(storage_host.pool_path() / "b.raw", "raw") == content(source, "qcow2")
    assert storage_host.names() == {"a.qcow2", "b.raw"}
    ctx.job.refresh_from_db()
    assert ctx.job.done_bytes == ctx.job.total_bytes
    assert 64 <= (ctx.job.total_bytes or 0) // MIB < 66


def test_a_cancelled_copy_leaves_nothing(storage_host: StorageHost) -> None:
    storage_host.pool()
    storage_host.disk("a.qcow2", "write -P 7 0 128M")
    ctx = context()
    Job.objects.filter(pk=ctx.job.pk).update(cancel_requested_at="2026-01-01T00:00Z")
    with pytest.raises(Cancelled):
        copy_volume(ctx, storage_host.row(), "images", "a.qcow2", "images", VolumeSpec("b", 256 * MIB))
    assert storage_host.names() == {"a.qcow2"}


def test_what_has_the_name_already_is_left_alone(storage_host: StorageHost) -> None:
    storage_host.pool()
    storage_host.disk("a.qcow2")
    storage_host.disk("b.qcow2", "write -P 3 0 1M")
    with pytest.raises(AlreadyExists, match=r"Cannot make volume b.qcow2 in pool images on store1: there is a volume"):
        copy_volume(context(), storage_host.row(), "images", "a.qcow2", "images", VolumeSpec("b.qcow2", 256 * MIB))
    assert storage_host.names() == {"a.qcow2", "b.qcow2"}


def test_a_copy_that_cannot_be_made_leaves_nothing(storage_host: StorageHost) -> None:
    storage_host.pool()
    with pytest.raises(VolumeNotFound):
        copy_volume(context(), storage_host.row(), "images", "gone", "images", VolumeSpec("b", MIB))
    assert storage_host.names() == set()


def test_an_interrupted_copy_is_waited_for_and_then_known_to_be_complete(
    storage_host: StorageHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage_host.pool()
    source = storage_host.disk("a.qcow2", "write -P 7 0 700M", size="800M")  # takes a while
    ctx = context()

    def stop() -> None:
        raise WorkerStopping("Its worker was stopped")

    with monkeypatch.context() as patch:
        patch.setattr(ctx, "check", stop)
        patch.setattr(copying, "POLL_S", 0.05)
        with pytest.raises(WorkerStopping):
            copy_volume(ctx, storage_host.row(), "images", "a.qcow2", "images", VolumeSpec("b", 800 * MIB))
    assert settle(ctx, storage_host.row(), "images", "b") is Fate.COMPLETE
    assert content(storage_host.pool_path() / "b", "qcow2") == content(source, "qcow2")


def test_what_never_began_is_absent_and_what_nobody_saw_is_unknown(storage_host: StorageHost) -> None:
    storage_host.pool()
    storage_host.disk("b", format="raw")
    ctx = context()
    assert settle(ctx, storage_host.row(), "images", "b") is Fate.ABSENT, "somebody else's"
    undoing.mark(ctx, "begun", storage_host.row(), "images", "b")
    undoing.mark(ctx, "begun", storage_host.row(), "images", "c")
    assert settle(ctx, storage_host.row(), "images", "b") is Fate.UNKNOWN
    assert settle(ctx, storage_host.row(), "images", "c") is Fate.ABSENT


def test_bytes_go_to_another_host_sparse_and_with_their_checksum(
    storage_host: StorageHost, other_storage_host: StorageHost
) -> None:
    storage_host.pool()
    other_storage_host.pool()
    source = storage_host.disk("a.qcow2", "write -P 7 0 16M", "write -P 9 100M 16M")
    ctx = context()
    digest = copy_to_other(ctx, storage_host, other_storage_host, VolumeSpec("b.qcow2", 0), verify=True)
    copy = other_storage_host.pool_path() / "b.qcow2"
    assert copy.read_bytes() == source.read_bytes()
    assert digest == hashlib.sha256(source.read_bytes()).hexdigest()
    assert other_storage_host.connection.pool("images").volume("b.qcow2").definition().format == "qcow2"


def test_holes_are_not_filled(storage_host: StorageHost, other_storage_host: StorageHost) -> None:
    storage_host.pool()
    other_storage_host.pool()
    storage_host.disk("a.qcow2", "write -P 7 100M 1M", format="raw")
    copy_to_other(context(), storage_host, other_storage_host, VolumeSpec("b", 0, format=""))
    copy = (other_storage_host.pool_path() / "b").stat()
    assert copy.st_size == 256 * MIB
    assert copy.st_blocks * 512 <= 2 * MIB


def test_a_cancelled_copy_to_another_host_leaves_nothing(
    storage_host: StorageHost, other_storage_host: StorageHost
) -> None:
    storage_host.pool()
    other_storage_host.pool()
    storage_host.disk("a.qcow2", "write -P 7 0 32M")
    ctx = context()
    Job.objects.filter(pk=ctx.job.pk).update(cancel_requested_at="2026-01-01T00:00Z")
    with pytest.raises(Cancelled):
        copy_to_other(ctx, storage_host, other_storage_host, VolumeSpec("b", 0))
    assert other_storage_host.names() == set()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (VolumeSpec("b", 0, format="raw"), "a copy between hosts keeps the format, qcow2"),
        (VolumeSpec("b", 0, backing_path="/base"), "it stands on nothing"),
    ],
)
def test_a_copy_that_would_have_to_differ_is_refused(
    storage_host: StorageHost, other_storage_host: StorageHost, spec: VolumeSpec, words: str
) -> None:
    storage_host.pool()
    other_storage_host.pool()
    storage_host.disk("a.qcow2")
    with pytest.raises(InvalidInput, match=words):
        copy_to_other(context(), storage_host, other_storage_host, spec)
    assert other_storage_host.names() == set()

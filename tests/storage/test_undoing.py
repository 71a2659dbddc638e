"""What a job has begun to make, and what becomes of it."""

from __future__ import annotations

import pytest

from storage import undoing
from storage.models import Volume
from storage.volume_rows import reread
from tests.factories import JobFactory
from tests.storage_host import StorageHost
from vmdash.jobs.context import JobContext, OutcomeUnknown
from vmdash.jobs.models import Job
from vmdash.virt.errors import ConnectionLost, InvalidState
from vmdash.virt.volume import Volume as LiveVolume
from vmdash.virt.xml.volume import VolumeSpec

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1 << 20


def context() -> JobContext:
    return JobContext(JobFactory.create(state="running", kind="volume.clone"), time_limit_s=600)


def marks(ctx: JobContext, what: str) -> list[str]:
    return [name for _, _, name in Job.objects.get(pk=ctx.job.pk).parameters.get(what, [])]


def test_what_was_begun_is_removed_with_its_row_but_not_what_a_guest_was_defined_with(
    storage_host: StorageHost,
) -> None:
    row, ctx = storage_host.pool_row(), context()
    pool = storage_host.connection.pool("images")
    for name in ("own", "between", "others"):
        pool.create_volume(VolumeSpec(name, MIB, format="raw"))
        reread(storage_host.connection, row, name)
    for name in ("own", "between", "never-made"):
        undoing.mark(ctx, "begun", row.host, "images", name)
    undoing.remove_begun(ctx, but={"own"})
    assert storage_host.names() == {"own", "others"}
    assert set(Volume.objects.values_list("name", flat=True)) == {"own", "others"}
    undoing.remove_begun(ctx)
    assert storage_host.names() == {"others"}


def test_a_file_that_the_pool_does_not_know_is_neither_used_nor_removed(storage_host: StorageHost) -> None:
    row, ctx = storage_host.pool_row(), context()
    pool = storage_host.connection.pool("images")
    precious = storage_host.pool_path() / "precious.qcow2"
    precious.write_bytes(b"precious")
    undoing.refuse_existing(pool, precious.name)
    with pytest.raises(InvalidState), undoing.begun(ctx, row.host, "images", precious.name):
        pool.create_volume(VolumeSpec(precious.name, MIB))
    assert marks(ctx, "begun") == []
    pool.refresh()
    undoing.remove_begun(ctx)
    assert precious.read_bytes() == b"precious"


def test_a_volume_is_marked_as_begun_and_then_as_made(storage_host: StorageHost) -> None:
    row, ctx = storage_host.pool_row(), context()
    pool = storage_host.connection.pool("images")
    with undoing.begun(ctx, row.host, "images", "new"):
        assert (marks(ctx, "begun"), marks(ctx, "made")) == (["new"], [])
        pool.create_volume(VolumeSpec("new", MIB, format="raw"))
    assert marks(ctx, "made") == ["new"]
    assert undoing.settle(ctx, row.host, "images", "new") is undoing.Fate.COMPLETE


def test_a_host_that_goes_away_fails_only_a_job_that_has_not_begun_anything(storage_host: StorageHost) -> None:
    row, ctx = storage_host.pool_row(), context()
    with pytest.raises(ConnectionLost), undoing.left_open(ctx):
        raise ConnectionLost.because("ask", "store1")
    undoing.mark(ctx, "begun", row.host, "images", "new")
    with pytest.raises(OutcomeUnknown), undoing.left_open(ctx):
        raise ConnectionLost.because("ask", "store1")


def test_a_host_that_was_seen_at_work_has_only_finished_what_it_makes_by_itself(
    storage_host: StorageHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, ctx = storage_host.pool_row(), context()
    pool = storage_host.connection.pool("images")
    for name, fed in (("copied", False), ("sent", True)):
        with pytest.raises(OutcomeUnknown), undoing.begun(ctx, row.host, "images", name, fed=fed):
            pool.create_volume(VolumeSpec(name, MIB, format="raw"))
            raise OutcomeUnknown("Its worker died")
        at_work = iter([True, False])
        monkeypatch.setattr(LiveVolume, "is_being_made", lambda volume, at_work=at_work: next(at_work))
        expected = undoing.Fate.UNKNOWN if fed else undoing.Fate.COMPLETE
        assert undoing.settle(ctx, row.host, "images", name) is expected

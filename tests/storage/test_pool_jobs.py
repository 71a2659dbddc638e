"""Pools, changed by a real worker on a real libvirtd, whose pools are those of libvirt's test driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from domains.models import Domain
from hosts.models import Host
from storage import pool_services
from storage.chains import Chains
from storage.inventory import record_pool, record_volume
from storage.models import Pool, Storage, Volume
from storage.pool_actions import ACTIONS, possible
from storage.pool_jobs import KINDS
from storage.pool_services import ConfirmationNeeded
from tests.factories import DomainFactory, HostFactory, PoolFactory, UserFactory, VolumeFactory
from tests.libvirtd import TestDriverHost
from tests.polling import poll
from tests.worker import Worker
from vmdash.access.models import AuditEntry, User
from vmdash.access.roles import Role
from vmdash.exceptions import Conflict, InvalidInput, NotPermitted
from vmdash.jobs import execution
from vmdash.jobs.models import Job
from vmdash.virt.errors import PoolNotFound
from vmdash.virt.xml.pool import PoolSpec
from vmdash.virt.xml.volume import VolumeSpec

pytestmark = pytest.mark.django_db(transaction=True)
IMAGES = PoolSpec("images", "dir", path="/images")


def row_of(libvirtd: TestDriverHost, name: str = "kvm1") -> Host:
    return HostFactory.create(name=name, driver="test", address="127.0.0.1", port=libvirtd.port, path="/default")


@pytest.fixture
def host(libvirtd: TestDriverHost) -> Iterator[Host]:
    yield row_of(libvirtd)
    for pool in libvirtd.connection.pools():
        if pool.name != "default-pool":
            if pool.facts().state != "inactive":
                pool.stop()
            pool.undefine()


@pytest.fixture
def pool(host: Host, libvirtd: TestDriverHost) -> Pool:
    """A pool that is defined and stopped."""
    return record_pool(host, libvirtd.connection.define_pool(IMAGES.to_xml()).facts())


def done(job: Job) -> Job:
    poll(lambda: Job.objects.filter(pk=job.pk).exclude(finished_at=None).exists(), 15, f"{job.label} to end")
    job.refresh_from_db()
    return job


def test_a_pool_is_defined_built_started_changed_and_undefined(
    host: Host, libvirtd: TestDriverHost, operator: User, worker: Worker
) -> None:
    job = done(pool_services.define(host=host, spec=IMAGES, user=operator, build=True))

    assert (job.state, job.error) == ("succeeded", "")
    pool = Pool.objects.get(name="images")
    assert (pool.state, pool.autostart, pool.path) == ("running", True, "/images")
    for action, state, autostart in (
        ("refresh", "running", True),
        ("autostart_off", "running", False),
        ("stop", "inactive", False),
        ("stop", "inactive", False),
        ("build", "inactive", False),
        ("start", "running", False),
        ("stop", "inactive", False),
        ("delete", "inactive", False),
    ):
        job = done(pool_services.act(pool=pool, action=action, user=operator, confirm="images"))
        assert (job.state, job.error) == ("succeeded", ""), action
        pool.refresh_from_db()
        assert (pool.state, pool.autostart) == (state, autostart), action
    done(pool_services.act(pool=pool, action="undefine", user=operator, confirm="images"))

    assert not Pool.objects.filter(name="images").exists()
    with pytest.raises(PoolNotFound):
        libvirtd.connection.pool("images")
    assert AuditEntry.objects.filter(action="pool.undefine", target_name="images").exists()
    assert job.virsh.startswith("virsh -c test+tcp://") and job.virsh.endswith("pool-delete images")


def test_a_pool_with_disks_of_running_guests_can_be_neither_stopped_nor_deleted(pool: Pool, operator: User) -> None:
    pool.state = Pool.State.RUNNING
    pool.save()
    disk = {"target": "vda", "source": "/images/web1.qcow2", "readonly": False, "backing": ["/images/base.qcow2"]}
    guest = DomainFactory.create(host=pool.host, name="web1", disks=[disk])

    with pytest.raises(Conflict, match="Disks of guests that run are in it: web1 runs"):
        pool_services.act(pool=pool, action="stop", user=operator)
    guest.disks = [disk | {"source": "/elsewhere/web1.qcow2"}]
    guest.save()
    with pytest.raises(Conflict, match="web1 runs"):  # its base is in the pool
        pool_services.act(pool=pool, action="stop", user=operator)

    Domain.objects.update(state="shut_off")
    pool_services.act(pool=pool, action="stop", user=operator)


def test_what_is_lost_is_confirmed_by_the_pool_s_name(pool: Pool, operator: User) -> None:
    for action in ("undefine", "delete"):
        with pytest.raises(ConfirmationNeeded, match="type its name"):
            pool_services.act(pool=pool, action=action, user=operator)
    with pytest.raises(ConfirmationNeeded):
        pool_services.act(pool=pool, action="build", user=operator, overwrite=True)
    VolumeFactory.create(pool=pool)
    with pytest.raises(Conflict, match="It still has 1 volume"):
        pool_services.act(pool=pool, action="delete", user=operator, confirm="images")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.HELP_DESK])
def test_those_who_only_see_storage_are_refused_and_told_why(pool: Pool, role: Role) -> None:
    person = UserFactory.create(role=role)

    with pytest.raises(NotPermitted):
        pool_services.act(pool=pool, action="start", user=person)
    with pytest.raises(NotPermitted):
        pool_services.define(host=pool.host, spec=IMAGES, user=person)
    with pytest.raises(NotPermitted):
        pool_services.check_sharing(pools=[pool, PoolFactory.create()], user=person)

    assert AuditEntry.objects.filter(action="pool.start", refused=True).exists()
    assert {choice.reason for choice in possible(pool, person)} == {"You may not change storage pools and volumes."}


def test_a_host_that_is_away_is_said_to_be(pool: Pool, operator: User) -> None:
    pool.host.state = Host.State.UNREACHABLE
    pool.host.save()

    with pytest.raises(Conflict, match="Its host kvm1 is"):
        pool_services.act(pool=pool, action="start", user=operator)
    with pytest.raises(Conflict, match="Its host kvm1 is"):
        pool_services.define(host=pool.host, spec=PoolSpec("other", "dir", path="/x"), user=operator)


def test_a_name_that_is_taken_is_refused(pool: Pool, operator: User) -> None:
    with pytest.raises(Conflict, match="kvm1 has a pool images already"):
        pool_services.define(host=pool.host, spec=IMAGES, user=operator)


@pytest.mark.parametrize(
    ("action", "before", "state"),
    [
        ("start", lambda pool: pool.start(), "succeeded"),
        ("start", lambda pool: None, "failed"),
        ("stop", lambda pool: None, "succeeded"),
        ("autostart_on", lambda pool: pool.set_autostart(True), "succeeded"),
        ("undefine", lambda pool: pool.undefine(), "succeeded"),
        ("undefine", lambda pool: None, "failed"),
        ("refresh", lambda pool: None, "reconciled"),
    ],
)
def test_after_its_worker_died_libvirt_tells_what_came_of_it(
    pool: Pool, libvirtd: TestDriverHost, action: str, before: Callable[..., None], state: str
) -> None:
    before(libvirtd.connection.pool("images"))
    job = lost(KINDS[action].name, {"pool": pool.pk})

    execution.execute(job)

    job.refresh_from_db()
    assert job.state == state
    assert Pool.objects.filter(name="images").exists() == (action != "undefine" or state == "failed")


def lost(kind: str, parameters: dict[str, object]) -> Job:
    return Job.objects.create(
        kind=kind, state="lost", label="x", target_kind="pool", target_id="1", parameters=parameters
    )


def test_an_interrupted_definition_is_settled_by_what_the_host_has(host: Host, libvirtd: TestDriverHost) -> None:
    parameters = {"host": host.pk, "spec": {"name": "images", "type": "dir", "path": "/images"}, "start": True}
    job = lost("pool.define", parameters)
    execution.execute(job)
    job.refresh_from_db()
    assert job.state == "failed"

    libvirtd.connection.define_pool(IMAGES.to_xml()).start()
    job = lost("pool.define", parameters)
    execution.execute(job)
    job.refresh_from_db()
    assert job.state == "succeeded"
    assert Pool.objects.get().state == "running"


def test_pools_are_found_to_be_one_storage_by_trying_it_out(
    host: Host, libvirtd: TestDriverHost, operator: User, worker: Worker
) -> None:
    other = TestDriverHost()
    try:
        rows = [host, row_of(libvirtd, "kvm2"), row_of(other, "kvm3")]  # the first two are the same libvirtd
        pools = [record_pool(row, connection.pool("default-pool").facts()) for row, connection in (
            (rows[0], libvirtd.connection), (rows[1], libvirtd.connection), (rows[2], other.connection))]  # fmt: skip
        job = done(pool_services.check_sharing(pools=pools, user=operator))
    finally:
        other.stop()

    assert (job.state, job.error) == ("succeeded", "")
    storage = Storage.objects.get()
    assert storage.evidence == "marker"
    assert {pool.host.name for pool in storage.pools.all()} == {"kvm1", "kvm2"}
    assert job.result["different"] == [pools[2].pk]
    assert libvirtd.connection.pool("default-pool").volumes() == []


def test_only_pools_of_several_hosts_can_be_one_storage(pool: Pool, operator: User) -> None:
    with pytest.raises(InvalidInput, match="at least two hosts"):
        pool_services.check_sharing(pools=[pool], user=operator)
    with pytest.raises(InvalidInput, match="at least two hosts"):
        pool_services.check_sharing(pools=[pool, PoolFactory.create(host=pool.host)], user=operator)
    with pytest.raises(InvalidInput, match="mpath pool"):
        pool_services.check_sharing(pools=[PoolFactory.create(type="mpath"), PoolFactory.create()], user=operator)
    with pytest.raises(Conflict, match="not active"):
        pool_services.check_sharing(pools=[pool, PoolFactory.create()], user=operator)


def test_every_action_that_the_table_has_is_a_job_kind() -> None:
    assert set(KINDS) == set(ACTIONS)


def test_a_volume_written_by_a_job_is_in_the_chains_at_once(pool: Pool, libvirtd: TestDriverHost) -> None:
    live = libvirtd.connection.pool("images")
    live.start()
    record_volume(pool, live.create_volume(VolumeSpec("base.qcow2", 4096)).definition())
    record_volume(
        pool, live.create_volume(VolumeSpec("web1.qcow2", 4096, backing_path="/images/base.qcow2")).definition()
    )

    assert Chains().find(Volume.objects.get(name="web1.qcow2")).depth == 1

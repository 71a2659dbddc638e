"""What guest agents tell, as libvirt hands it over."""

from __future__ import annotations

from datetime import UTC, datetime

import libvirt

from vmdash.virt.agent import AgentInfo, GuestFilesystem, GuestInterface, GuestUser, parse_info, parse_interfaces
from vmdash.virt.jobinfo import JobInfo

TOLD = {
    "user.count": 2,
    "user.0.name": "root",
    "user.0.login-time": 1700000000123,
    "user.1.name": "eve",
    "os.id": "debian",
    "os.pretty-name": "Debian GNU/Linux 12 (bookworm)",
    "os.kernel-release": "6.1.0-30-amd64",
    "timezone.name": "UTC",
    "hostname": "db1",
    "fs.count": 1,
    "fs.0.mountpoint": "/",
    "fs.0.name": "vda1",
    "fs.0.fstype": "ext4",
    "fs.0.total-bytes": 1000,
    "fs.0.used-bytes": 400,
    "fs.0.disk.count": 2,
    "fs.0.disk.0.alias": "vda",
    "fs.0.disk.1.serial": "no alias",
    "if.count": 1,
    "if.0.name": "eth0",
    "if.0.hwaddr": "52:54:00:00:00:01",
    "if.0.addr.count": 2,
    "if.0.addr.0.addr": "10.0.0.5",
    "if.0.addr.0.prefix": 24,
    "if.0.addr.1.addr": "fe80::1",
    "if.0.addr.1.prefix": 64,
}


def test_everything_an_agent_tells_is_read() -> None:
    assert parse_info(TOLD) == AgentInfo(
        hostname="db1",
        os_id="debian",
        os_name="Debian GNU/Linux 12 (bookworm)",
        kernel="6.1.0-30-amd64",
        timezone="UTC",
        users=(GuestUser("root", datetime(2023, 11, 14, 22, 13, 20, 123000, UTC)), GuestUser("eve", None)),
        filesystems=(GuestFilesystem("/", "vda1", "ext4", 1000, 400, ("vda",)),),
        interfaces=(GuestInterface("eth0", "52:54:00:00:00:01", ("10.0.0.5/24", "fe80::1/64")),),
    )


def test_an_agent_that_tells_nothing_gives_empty_values() -> None:
    assert parse_info({}) == AgentInfo("", "", "", "", "", None, (), ())


def test_addresses_come_in_a_shape_of_their_own() -> None:
    told = {
        "eth0": {"hwaddr": "52:54:00:00:00:01", "addrs": [{"addr": "10.0.0.5", "prefix": 24, "type": 0}]},
        "lo": {"hwaddr": None, "addrs": None},
    }
    assert parse_interfaces(told) == (
        GuestInterface("eth0", "52:54:00:00:00:01", ("10.0.0.5/24",)),
        GuestInterface("lo", "", ()),
    )


def test_no_job_is_none() -> None:
    assert JobInfo.from_libvirt({"type": libvirt.VIR_DOMAIN_JOB_NONE}) is None


def test_a_migration_tells_how_far_it_is() -> None:
    told = {
        "type": libvirt.VIR_DOMAIN_JOB_UNBOUNDED,
        libvirt.VIR_DOMAIN_JOB_OPERATION: libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT,
        libvirt.VIR_DOMAIN_JOB_TIME_ELAPSED: 1500,
        libvirt.VIR_DOMAIN_JOB_DATA_TOTAL: 1000,
        libvirt.VIR_DOMAIN_JOB_DATA_REMAINING: 250,
        libvirt.VIR_DOMAIN_JOB_MEMORY_ITERATION: 3,
    }
    job = JobInfo.from_libvirt(told)
    assert job is not None
    assert (job.operation, job.elapsed_ms, job.remaining_bytes, job.iteration) == ("migration_out", 1500, 250, 3)
    assert job.downtime_ms is None

"""Moving a guest to another host: what is asked of libvirt, how far it is, and what became of it.

Peer to peer by default: the source's daemon drives it and goes on when whoever asked has died. Source:
https://libvirt.org/migration.html and libvirt-domain.h (virDomainMigrateFlags, VIR_MIGRATE_PARAM_*).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import libvirt

from vmdash.virt.errors import ConnectionLost, InvalidState, TargetUnreachable, VirtError
from vmdash.virt.guest import Guest
from vmdash.virt.migration_types import MigrationOptions, MigrationProgress
from vmdash.virt.translation import supported, translate

MIB = 2**20


def flags_of(options: MigrationOptions) -> int:
    chosen = {
        libvirt.VIR_MIGRATE_PEER2PEER: options.peer_to_peer,
        libvirt.VIR_MIGRATE_PERSIST_DEST: options.persistent,
        libvirt.VIR_MIGRATE_UNDEFINE_SOURCE: options.undefine_source,
        libvirt.VIR_MIGRATE_OFFLINE: not options.live,
    }
    if options.live:
        chosen |= {
            libvirt.VIR_MIGRATE_LIVE: True,
            libvirt.VIR_MIGRATE_NON_SHARED_DISK: bool(options.copy_disks),
            libvirt.VIR_MIGRATE_UNSAFE: options.shared_storage,
            libvirt.VIR_MIGRATE_AUTO_CONVERGE: options.auto_converge,
            libvirt.VIR_MIGRATE_COMPRESSED: options.compress,
            libvirt.VIR_MIGRATE_PARALLEL: options.parallel > 0,
            libvirt.VIR_MIGRATE_POSTCOPY: options.post_copy,
            libvirt.VIR_MIGRATE_TLS: options.tls,
            libvirt.VIR_MIGRATE_ABORT_ON_ERROR: options.abort_on_error,
        }
    return sum(flag for flag, wanted in chosen.items() if wanted)


def parameters_of(options: MigrationOptions, *, target_xml: str = "", persistent_xml: str = "") -> dict[str, Any]:
    """The typed parameters; only those that say something."""
    told: dict[str, Any] = {libvirt.VIR_MIGRATE_PARAM_DEST_XML: target_xml}
    if options.persistent:
        told[libvirt.VIR_MIGRATE_PARAM_PERSIST_XML] = persistent_xml
    if options.live:
        told |= {
            libvirt.VIR_MIGRATE_PARAM_URI: options.data_uri,
            libvirt.VIR_MIGRATE_PARAM_BANDWIDTH: options.bandwidth_mib_s,
            libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS: list(options.copy_disks),
            libvirt.VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS: options.parallel,
            libvirt.VIR_MIGRATE_PARAM_COMPRESSION: "xbzrle" if options.compress else "",
        }
        if options.auto_converge:
            told[libvirt.VIR_MIGRATE_PARAM_AUTO_CONVERGE_INITIAL] = options.auto_converge_initial
            told[libvirt.VIR_MIGRATE_PARAM_AUTO_CONVERGE_INCREMENT] = options.auto_converge_increment
    return {name: value for name, value in told.items() if value}


def read_progress(told: Mapping[str, Any], *, in_post_copy: bool = False) -> MigrationProgress | None:
    """None when there is no job, or another sort of one."""
    operation = told.get(libvirt.VIR_DOMAIN_JOB_OPERATION)
    moving = (libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT, libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN)
    if told.get("type", libvirt.VIR_DOMAIN_JOB_NONE) == libvirt.VIR_DOMAIN_JOB_NONE or operation not in moving:
        return None
    pages, page_bytes = (
        told.get(libvirt.VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE),
        told.get(libvirt.VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE, 4096),
    )
    rates = [told.get(name) for name in (libvirt.VIR_DOMAIN_JOB_MEMORY_BPS, libvirt.VIR_DOMAIN_JOB_DISK_BPS)]
    known = [rate for rate in rates if rate]
    return MigrationProgress(
        elapsed_ms=told.get(libvirt.VIR_DOMAIN_JOB_TIME_ELAPSED, 0),
        processed_bytes=told.get(libvirt.VIR_DOMAIN_JOB_DATA_PROCESSED, 0),
        remaining_bytes=told.get(libvirt.VIR_DOMAIN_JOB_DATA_REMAINING, 0),
        memory_total_bytes=told.get(libvirt.VIR_DOMAIN_JOB_MEMORY_TOTAL, 0),
        memory_remaining_bytes=told.get(libvirt.VIR_DOMAIN_JOB_MEMORY_REMAINING, 0),
        disk_total_bytes=told.get(libvirt.VIR_DOMAIN_JOB_DISK_TOTAL, 0),
        disk_remaining_bytes=told.get(libvirt.VIR_DOMAIN_JOB_DISK_REMAINING, 0),
        rate_bytes_per_s=sum(known) if known else None,
        dirty_bytes_per_s=None if pages is None else pages * page_bytes,
        rounds=told.get(libvirt.VIR_DOMAIN_JOB_MEMORY_ITERATION),
        downtime_ms=told.get(libvirt.VIR_DOMAIN_JOB_DOWNTIME),
        throttle_percent=told.get(libvirt.VIR_DOMAIN_JOB_AUTO_CONVERGE_THROTTLE, 0),
        in_post_copy=in_post_copy,
    )


_ARRIVING = {
    "type": libvirt.VIR_DOMAIN_JOB_UNBOUNDED,
    libvirt.VIR_DOMAIN_JOB_OPERATION: libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN,
}


def migrate(
    guest: Guest, target_uri: str, options: MigrationOptions, *, target_xml: str = "", persistent_xml: str = ""
) -> None:
    """Move it to the host whose daemon the source's daemon reaches as `target_uri`. Blocks until it has ended.

    Raises JobCancelled, TargetUnreachable (the source's daemon cannot open the target's), and what libvirt found.
    """
    parameters = parameters_of(options, target_xml=target_xml, persistent_xml=persistent_xml)
    try:
        with translate(f"move {guest.name}", guest.host):
            guest.raw.migrateToURI3(target_uri, parameters, flags_of(options))
    except ConnectionLost as error:
        raise _of_the_target(guest, target_uri, error) from error


def try_target(guest: Guest, target_uri: str) -> None:
    """Whether the source's daemon can open the target's, as it must to send a guest. Nothing is changed.

    It is asked for an offline move that keeps no definition, which libvirt refuses; but only after it has opened the
    target. Raises TargetUnreachable with the daemon's own reason, HostError.
    """
    try:
        with translate(f"try the way to {target_uri} from", guest.host):
            guest.raw.migrateToURI3(target_uri, {}, libvirt.VIR_MIGRATE_OFFLINE | libvirt.VIR_MIGRATE_PEER2PEER)
    except InvalidState:
        return
    except VirtError as error:
        raise _of_the_target(guest, target_uri, error) from error


def _of_the_target(guest: Guest, target_uri: str, error: VirtError) -> VirtError:
    """libvirt passes the error of the daemons' connection on as if it were ours, which is still there."""
    if not guest.raw.connect().isAlive():
        return error
    doing = f"send {guest.name} from {guest.host} to {target_uri}"
    return TargetUnreachable.because(doing, detail=error.detail)


def progress(guest: Guest) -> MigrationProgress | None:
    """How far it is on its way out of this host, or into it, of which libvirt tells no figures; None when it does not
    move. Raises GuestNotFound."""
    with translate(f"read the migration of {guest.name}", guest.host):
        try:
            told = guest.raw.jobStats()
            state, reason = guest.raw.state()
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:  # it has just stopped here
                return None
            if error.get_error_code() == libvirt.VIR_ERR_OPERATION_UNSUPPORTED:  # "only on the source host"
                return read_progress(_ARRIVING)
            raise
    post_copy = (state, reason) == (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY)
    return read_progress(told, in_post_copy=post_copy)


def completed(guest: Guest) -> MigrationProgress | None:
    """What the last migration that reached this host (or left it) took, its downtime included."""
    flags = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
    with translate(f"read the last migration of {guest.name}", guest.host):
        return read_progress(guest.raw.jobStats(flags))


def abort(guest: Guest) -> None:
    """Stop it; the guest goes on at its source. Raises InvalidState when there is nothing to stop, or no way back."""
    with translate(f"stop the migration of {guest.name}", guest.host):
        guest.raw.abortJob()


def set_max_downtime(guest: Guest, milliseconds: int) -> None:
    """How long it may stand still for the last round."""
    with translate(f"change the downtime of {guest.name}", guest.host):
        guest.raw.migrateSetMaxDowntime(milliseconds)


def max_downtime_ms(guest: Guest) -> int:
    with translate(f"read the downtime of {guest.name}", guest.host):
        return int(guest.raw.migrateGetMaxDowntime())


def set_bandwidth(guest: Guest, mib_per_s: int) -> None:
    """The most that is sent; 0 is as much as goes."""
    # libvirt has no word for no limit here: this is the largest number it takes.
    with translate(f"change the bandwidth of {guest.name}", guest.host):
        guest.raw.migrateSetMaxSpeed(mib_per_s or 8796093022207)


def start_post_copy(guest: Guest) -> None:
    """Let it run at the target from now on and fetch what is missing. It cannot be stopped after that."""
    with translate(f"switch {guest.name} to post-copy", guest.host):
        guest.raw.migrateStartPostCopy()


def disk_bytes(guest: Guest, target: str) -> tuple[int, int]:
    """(capacity, allocation) of one of its disks, running or not."""
    with translate(f"read the size of disk {target} of {guest.name}", guest.host):
        capacity, allocation, _ = guest.raw.blockInfo(target)
        return int(capacity), int(allocation)


def snapshot_count(guest: Guest) -> int:
    """How many snapshots libvirt keeps of it; they do not move along."""
    with translate(f"count the snapshots of {guest.name}", guest.host):
        return int(supported(guest.raw.snapshotNum, 0))


def start_dirty_rate(guest: Guest, seconds: int = 1) -> None:
    """Begin to measure how much memory it writes; read it that much later with `dirty_rate`. Raises CallUnsupported."""
    with translate(f"measure how fast {guest.name} writes", guest.host):
        guest.raw.startDirtyRateCalc(seconds, 0)


def dirty_rate(guest: Guest) -> int | None:
    """What was measured, in bytes a second; None while it is not through."""
    with translate(f"read how fast {guest.name} writes", guest.host):
        ((_, told),) = guest.raw.connect().domainListGetStats([guest.raw], libvirt.VIR_DOMAIN_STATS_DIRTYRATE)
    if told.get("dirtyrate.calc_status") != libvirt.VIR_DOMAIN_DIRTYRATE_MEASURED:
        return None
    return int(told.get("dirtyrate.megabytes_per_second", 0)) * MIB

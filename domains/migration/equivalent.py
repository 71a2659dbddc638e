"""The `virsh` command that does what a move does."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from hosts.connect import endpoint, migration_uri
from hosts.models import Host
from vmdash.virt.migration_types import MigrationOptions


def virsh_command(name: str, source: Host, target: Host, options: MigrationOptions) -> str:
    """For a shell of whoever reaches both hosts. What is copied must be made there first."""
    live = options.live
    disks = ",".join(options.copy_disks)
    words: Mapping[str, bool] = {
        "--live" if live else "--offline": True,
        "--p2p": options.peer_to_peer,
        "--persistent": options.persistent or not live,
        "--undefinesource": options.undefine_source,
        f"--copy-storage-all --migrate-disks {disks}": live and bool(disks),
        # libvirt knows few sorts of shared storage, and takes what it does not know for lost.
        "--unsafe": live and options.shared_storage,
        "--auto-converge": live and options.auto_converge,
        "--compressed": live and options.compress,
        "--postcopy": live and options.post_copy,
        "--tls": live and options.tls,
        f"--parallel --parallel-connections {options.parallel}": live and options.parallel > 0,
        f"--bandwidth {options.bandwidth_mib_s}": live and options.bandwidth_mib_s > 0,
    }
    chosen = [part for word, wanted in words.items() if wanted for part in word.split()]
    uri = endpoint(source).uri()
    return shlex.join(["virsh", "-c", uri, "migrate", *chosen, name, migration_uri(target) or target.name])

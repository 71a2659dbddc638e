"""What a practice host holds: its pools, its networks, its guests and their disks."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vmdash.lab import images, networks, xml
from vmdash.lab.catalogue import Disk, LabGuest, Power, guests_of
from vmdash.lab.commands import LabError, run
from vmdash.lab.images import Images

if TYPE_CHECKING:
    from vmdash.lab.qemu_host import QemuHost

_LOCAL_IMAGES = Path("/var/lib/libvirt/images")


def ensure(host: QemuHost) -> None:
    """Define and start what is missing on `host`. What people have changed since stays as it is."""
    pictures = images.prepare(host.lab.cache)
    bridged = networks.exists(host.lab.bridge)
    _ensure_pools(host, {"default": _LOCAL_IMAGES, "shared": host.lab.shared_images})
    if bridged:
        _ensure_networks(host)
    here = guests_of(host.spec.name)
    defined = _names(host.virsh("list", "--all", "--name"))
    for guest in here:
        if guest.name not in defined:
            disk = _ensure_disk(host, guest, pictures)
            _define(host, "define", xml.guest(host.lab, guest, pictures, disk, bridged=bridged))
            if guest.autostart:
                host.virsh("autostart", guest.name)
    if any(guest.name not in defined for guest in here):
        for pool in ("default", "shared"):
            host.virsh("pool-refresh", pool)  # libvirt does not see by itself that their disks have come
    running = _names(host.virsh("list", "--name"))
    for guest in here:
        if guest.power is not Power.OFF and guest.name not in running:
            # The paused one has not booted: its turn would come too late among the others.
            host.virsh("start", guest.name, *(["--paused"] if guest.power is Power.PAUSED else []))


def agent_answers(host: QemuHost, guest: str) -> bool:
    """Whether the guest agent of `guest` answers a ping within a second: the guest has booted."""
    try:
        host.virsh("qemu-agent-command", guest, "--timeout", "1", '{"execute": "guest-ping"}')
    except LabError:
        return False
    return True


def _ensure_pools(host: QemuHost, pools: Mapping[str, Path]) -> None:
    active = _names(host.virsh("pool-list", "--name"))
    for name in pools.keys() - active:
        if name not in _names(host.virsh("pool-list", "--all", "--name")):
            _define(host, "pool-define", xml.directory_pool(name, pools[name]))
            host.virsh("pool-autostart", name)
        host.virsh("pool-start", name)


def _ensure_networks(host: QemuHost) -> None:
    """`default` joins the fleet's bridge and is active; `isolated` is defined, for people to start."""
    defined = _names(host.virsh("net-list", "--all", "--name"))
    if "default" not in defined:
        _define(host, "net-define", xml.bridged_network("default", host.lab.bridge))
        host.virsh("net-autostart", "default")
    if "isolated" not in defined:
        _define(host, "net-define", xml.isolated_network("isolated", f"{host.lab.bridge}k{host.spec.number}"))
    if "default" not in _names(host.virsh("net-list", "--name")):
        host.virsh("net-start", "default")


def _ensure_disk(host: QemuHost, guest: LabGuest, pictures: Images) -> Path:
    """The guest's disk, made if missing; returns the path under which the host sees it."""
    name = f"{guest.name}.qcow2"
    if guest.disk is Disk.FULL:
        file = host.root / str(_LOCAL_IMAGES).lstrip("/") / name
        if not file.exists():
            run(["qemu-img", "convert", "-O", "qcow2", pictures.base_disk, file])
        return _LOCAL_IMAGES / name
    base, file = host.lab.shared_images / "base.qcow2", host.lab.shared_images / name
    if not base.exists():
        # Written aside first, since other hosts of the fleet may be doing the same.
        draft = base.with_name(f".{host.spec.name}")
        shutil.copy(pictures.base_disk, draft)
        draft.rename(base)
    if not file.exists():
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", file])
    return file


def _define(host: QemuHost, verb: str, definition: str) -> None:
    draft = host.directory / "definition.xml"
    draft.write_text(definition)
    host.virsh(verb, str(draft))


def _names(listing: str) -> set[str]:
    return set(listing.split())

"""The images practice guests boot from: Debian's cloud kernel, an initramfs, and a small base disk.

Built once and kept in the cache. The initramfs holds busybox, the virtio modules, Debian's qemu-ga with its libraries,
and the scripts in `guest/`; guests run from it, and find their disk mounted at /data.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from vmdash.lab.commands import LabError, run

_GUEST_FILES = Path(__file__).parent / "guest"
_BUSYBOX = Path("/bin/busybox")
_KERNEL_PACKAGE = "linux-image-cloud-amd64"
_AGENT_PACKAGE = "qemu-guest-agent"
_MODULES = (
    *("virtio_pci", "virtio_console", "virtio_net", "virtio_blk", "virtio_balloon", "virtio-rng"),
    *("button", "evdev"),
)
_PLACES = {
    "init": "init",
    "inittab": "etc/inittab",
    "profile": "etc/profile",
    "workload": "etc/workload",
    "acpi-power": "etc/acpi/PWRF/00000080",
    "shutdown": "sbin/shutdown",
}
"""Where each file of `guest/` goes. Scripts under sbin come before busybox's applets, which never replace a file."""
_DISK_SIZE = "256M"


@dataclass(frozen=True, slots=True)
class Images:
    kernel: Path
    initramfs: Path
    base_disk: Path
    """A read-only qcow2 image with one ext4 file system."""


def are_ready(cache: Path) -> bool:
    """Whether the cache holds this version of the images."""
    return (cache / _version()).exists()


def prepare(cache: Path) -> Images:
    """The images, built first if the cache does not hold this version of them. Two fleets may call this at once."""
    folder = cache / _version()
    images = Images(folder / "vmlinuz", folder / "initramfs", folder / "base.qcow2")
    if folder.exists():
        return images
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as draft:
                _build(Path(draft))
                (Path(draft) / "done").rename(folder)
    return images


def _version() -> str:
    sources = [Path(__file__), *sorted(_GUEST_FILES.iterdir())]
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:12]


def _build(draft: Path) -> None:
    """Build into `draft`; the finished images are in its `done` folder."""
    done, packages = draft / "done", draft / "packages"
    done.mkdir()
    _unpack_packages(draft, packages)
    kernel = next((packages / "boot").glob("vmlinuz-*"))
    shutil.copyfile(kernel, done / "vmlinuz")
    _build_initramfs(draft / "root", packages, kernel.name.removeprefix("vmlinuz-"), done / "initramfs")
    _build_base_disk(draft, done / "base.qcow2")


def _unpack_packages(draft: Path, into: Path) -> None:
    dependencies = run(["apt-cache", "depends", "--important", _KERNEL_PACKAGE])
    versioned = re.search(r"Depends: (linux-image-\S+)", dependencies)
    if versioned is None:
        raise LabError(
            f"Debian's package {_KERNEL_PACKAGE} was not found.",
            hint="Run apt-get update. Practice guests need an amd64 machine with Debian's package lists.",
        )
    run(["apt-get", "download", "-q", versioned[1], _AGENT_PACKAGE], cwd=draft, timeout_s=300)
    for package in draft.glob("*.deb"):
        run(["dpkg", "-x", package, into])


def _build_initramfs(root: Path, packages: Path, release: str, target: Path) -> None:
    for name, place in _PLACES.items():
        _copy(_GUEST_FILES / name, root / place)
        (root / place).chmod(0o755)
    _copy(_BUSYBOX, root / "bin/busybox")
    agent = packages / "usr/sbin/qemu-ga"
    _copy(agent, root / "usr/sbin/qemu-ga")
    for library in re.findall(r"(/\S+) \(0x", run(["ldd", agent])):
        _copy(Path(library), root / library.lstrip("/"))
    _copy_modules(packages, root, release)
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0", "-F", target], cwd=root, stdin="\n".join(names))


def _copy_modules(packages: Path, root: Path, release: str) -> None:
    """Copy the modules guests load and the modules these need, with an index for the guest's modprobe."""
    source, target = (tree / "lib/modules" / release for tree in (packages, root))
    run([_BUSYBOX, "depmod", "-b", packages, release])
    needs = {}
    for line in (source / "modules.dep").read_text().splitlines():
        module, colon, others = line.partition(":")
        if colon:
            needs[Path(module).stem] = [module, *others.split()]
    for name in _MODULES:
        for module in needs[name]:
            _copy(source / module, target / module)
    run([_BUSYBOX, "depmod", "-b", root, release])


def _build_base_disk(draft: Path, target: Path) -> None:
    content, raw = draft / "content", draft / "raw"
    content.mkdir()
    (content / "README").write_text("The base image of vmdash's practice guests.\n")
    run(["mkfs.ext4", "-q", "-m", "0", "-L", "data", "-d", content, raw, _DISK_SIZE])
    run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, target])
    target.chmod(0o444)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)

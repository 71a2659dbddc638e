"""libvirt XML of the practice fleet's guests, pools and networks."""

from __future__ import annotations

import os
from pathlib import Path

from lxml import etree
from lxml.builder import E

from vmdash.lab import numa
from vmdash.lab.catalogue import LabGuest
from vmdash.lab.images import Images
from vmdash.lab.layout import Lab


def guest(lab: Lab, spec: LabGuest, images: Images, disk: Path, *, bridged: bool) -> str:
    """A Linux guest with VGA, serial console, guest agent and balloon.

    Without `bridged` its network card leads to QEMU's user-mode network, which has no traffic counters.
    """
    last_cpu = max(os.sched_getaffinity(0))
    domain = E.domain(
        {"type": "kvm" if lab.kvm else "qemu"},
        E.name(spec.name),
        E.uuid(lab.uuid(spec.name)),
        E.title(spec.title),
        E.description(spec.description),
        E.memory(str(spec.memory_mib), unit="MiB"),
        E.vcpu("1"),
    )
    if spec.burns or spec.bound:
        tune = E.cputune(E.vcpupin(vcpu="0", cpuset=str(last_cpu)))
        if spec.burns:
            # Idle priority: two burners compete with each other, and everything else goes first.
            tune.append(E.vcpusched(vcpus="0", scheduler="idle"))
        domain.append(tune)
    if spec.bound and numa.SYSFS.exists():
        domain.append(E.numatune(E.memory(mode="strict", nodeset="0")))
    domain.extend(
        [
            E.os(
                E.type("hvm", arch="x86_64", machine="pc"),
                E.kernel(str(images.kernel)),
                E.initrd(str(images.initramfs)),
                E.cmdline(_kernel_parameters(lab, spec)),
            ),
            _features(32, kvm=lab.kvm),
            E.devices(
                E.disk(
                    {"type": "file", "device": "disk"},
                    E.driver(name="qemu", type="qcow2"),
                    E.source(file=str(disk)),
                    E.target(dev="vda", bus="virtio"),
                ),
                _interface(lab, spec, bridged=bridged),
                E.serial({"type": "pty"}, E.target(port="0")),
                E.console({"type": "pty"}, E.target(type="serial", port="0")),
                E.channel({"type": "unix"}, E.target(type="virtio", name="org.qemu.guest_agent.0")),
                E.graphics({"type": "vnc"}, autoport="yes"),
                E.video(E.model(type="vga", vram="8192", heads="1")),
                E.memballoon({"model": "virtio"}, E.stats(period="10")),
                E.rng({"model": "virtio"}, E.backend("/dev/urandom", model="random")),
            ),
        ]
    )
    return _text(domain)


def filler(lab: Lab, name: str) -> str:
    """A guest without an operating system: idles at 44 MB of memory and no CPU, and can be suspended and resumed."""
    return _text(
        E.domain(
            {"type": "kvm" if lab.kvm else "qemu"},
            E.name(name),
            E.uuid(lab.uuid(name)),
            E.memory("16", unit="MiB"),
            E.vcpu("1"),
            E.os(E.type("hvm", arch="x86_64", machine="pc")),
            _features(8, kvm=lab.kvm),
            E.devices(E.video(E.model(type="none")), E.memballoon({"model": "none"})),
        )
    )


def stateful_guest(lab: Lab, spec: LabGuest) -> str:
    """A guest of libvirt's test driver: a name, a size and a state."""
    return _text(
        E.domain(
            {"type": "test"},
            E.name(spec.name),
            E.uuid(lab.uuid(spec.name)),
            E.title(spec.title),
            E.description(spec.description),
            E.memory(str(spec.memory_mib), unit="MiB"),
            E.vcpu("1"),
            E.os(E.type("hvm")),
        )
    )


def directory_pool(name: str, path: Path) -> str:
    return _text(E.pool({"type": "dir"}, E.name(name), E.target(E.path(str(path)))))


def bridged_network(name: str, bridge: str) -> str:
    """A network that plugs guests into a bridge which exists already."""
    return _text(E.network(E.name(name), E.forward(mode="bridge"), E.bridge(name=bridge)))


def isolated_network(name: str, bridge: str) -> str:
    """A network whose bridge libvirt makes when it starts: no addresses, no DHCP, no way out."""
    return _text(E.network(E.name(name), E.bridge(name=bridge, stp="off")))


def _kernel_parameters(lab: Lab, spec: LabGuest) -> str:
    words = [
        *("console=tty0", "console=ttyS0", "quiet", "nokaslr"),
        # On a busy machine the timer may tick too late for the kernel's check of it, and it would panic.
        *("no_timer_check", "panic=1"),
        *(f"vmdash.name={spec.name}", f"vmdash.address={lab.guest_address(spec.number)}"),
    ]
    if spec.talks_to is not None:
        words.append(f"vmdash.talks_to={lab.guest_address(spec.talks_to)}")
    if spec.burns:
        words.append("vmdash.burns")
    return " ".join(words)


def _features(translation_cache_mib: int, *, kvm: bool) -> etree._Element:
    features: etree._Element = E.features(E.acpi())
    if not kvm:
        features.append(E.tcg(E("tb-cache", str(translation_cache_mib), unit="MiB")))
    return features


def _interface(lab: Lab, spec: LabGuest, *, bridged: bool) -> etree._Element:
    common = (E.mac(address=lab.mac(spec.number)), E.model(type="virtio"), E.rom(enabled="no"))
    interface: etree._Element = E.interface({"type": "network" if bridged else "user"}, *common)
    if bridged:
        interface.append(E.source(network="default"))
    return interface


def _text(element: etree._Element) -> str:
    return etree.tostring(element, pretty_print=True, encoding="unicode")

"""What a simulated guest is. Guest 7 of every host has the same shape, and differs by name, UUID and phase alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.simulator.wire import (
    bool_param,
    counter_param,
    int_param,
    integer,
    string_param,
    uint_param,
)

GIB = 1024**3
_Seconds = NDArray[np.float64]
_NS = 10**9

_XML = """<domain type='kvm'{id}>
  <name>@NAME@</name>
  <uuid>@UUID@</uuid>
  <metadata>
    <libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0">
      <libosinfo:os id="http://debian.org/debian/12"/>
    </libosinfo:libosinfo>
  </metadata>
  <memory unit='KiB'>{memory_kib}</memory>
  <currentMemory unit='KiB'>{memory_kib}</currentMemory>
  <vcpu placement='static'>{vcpus}</vcpu>
  <resource>
    <partition>/machine</partition>
  </resource>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <boot dev='hd'/>
  </os>
  <features>
    <acpi/>
    <apic/>
    <vmport state='off'/>
  </features>
  <cpu mode='host-passthrough' check='none' migratable='on'/>
  <clock offset='utc'>
    <timer name='rtc' tickpolicy='catchup'/>
    <timer name='pit' tickpolicy='delay'/>
    <timer name='hpet' present='no'/>
  </clock>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
{disks}{controllers}{interfaces}    <serial type='pty'>
      <target type='isa-serial' port='0'>
        <model name='isa-serial'/>
      </target>
    </serial>
    <console type='pty'>
      <target type='serial' port='0'/>
    </console>
    <input type='tablet' bus='usb'>
      <address type='usb' bus='0' port='1'/>
    </input>
    <input type='keyboard' bus='ps2'/>
    <graphics type='vnc' port='{port}' autoport='yes' listen='127.0.0.1'>
      <listen type='address' address='127.0.0.1'/>
    </graphics>
    <video>
      <model type='virtio' heads='1' primary='yes'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x0'/>
    </video>
    <memballoon model='virtio'>
      <stats period='5'/>
      <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/>
    </memballoon>
    <rng model='virtio'>
      <backend model='random'>/dev/urandom</backend>
      <address type='pci' domain='0x0000' bus='0x06' slot='0x00' function='0x0'/>
    </rng>
  </devices>
</domain>
"""
_DISK = """    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none' discard='unmap'/>
      <source file='/var/lib/libvirt/images/@NAME@-{target}.qcow2'/>
      <target dev='{target}' bus='virtio'/>
      <address type='pci' domain='0x0000' bus='0x04' slot='0x{slot:02x}' function='0x0'/>
    </disk>
"""
_CONTROLLER = """    <controller type='pci' index='{index}' model='pcie-root-port'>
      <model name='pcie-root-port'/>
      <target chassis='{index}' port='0x{port:x}'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x{index:x}'/>
    </controller>
"""
_INTERFACE = """    <interface type='bridge'>
      <mac address='52:54:00:00:{number:02x}:{card:02x}'/>
      <source bridge='br0'/>
      <target dev='vnet{card}'/>
      <model type='virtio'/>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x{card:02x}' function='0x0'/>
    </interface>
"""


class Record:
    """A prepared list of typed parameters: what is fixed as bytes, with room for the counters, which move."""

    def __init__(self) -> None:
        self._count = 0
        self._params = bytearray()
        self._places: list[int] = []
        self.starts: list[int] = []
        self.rates: list[float] = []
        """Of each counter: what it begins with, and by how much it grows in a second."""

    def add(self, *params: bytes) -> None:
        self._params += b"".join(params)
        self._count += len(params)

    def counter(self, field: str, per_s: float, start: int = 0) -> None:
        self.add(counter_param(field))
        self._places.append(len(self._params))
        self._params += bytes(8)
        self.starts.append(start)
        self.rates.append(per_s)

    def and_then(self, other: Record) -> Record:
        """One list with what both have."""
        joined = Record()
        joined._count = self._count + other._count
        joined._params = self._params + other._params
        joined._places = [*self._places, *(len(self._params) + place for place in other._places)]
        joined.starts, joined.rates = self.starts + other.starts, self.rates + other.rates
        return joined

    @property
    def body(self) -> bytes:
        return integer(self._count) + self._params

    @property
    def places(self) -> list[int]:
        """Where in `body` each counter's 8 bytes are."""
        return [4 + place for place in self._places]


@dataclass(frozen=True, slots=True)
class Shape:
    """One of the guests that each host has."""

    number: int
    vcpus: int
    memory_kib: int
    disks: tuple[str, ...]
    cards: int
    runs: bool

    def xml(self, *, live: bool) -> bytes:
        """With @NAME@ and @UUID@ to be replaced."""
        return _XML.format(
            id=f" id='{self.number + 1}'" if live else "",
            memory_kib=self.memory_kib,
            vcpus=self.vcpus,
            disks="".join(_DISK.format(target=target, slot=slot) for slot, target in enumerate(self.disks)),
            controllers="".join(_CONTROLLER.format(index=index, port=index + 15) for index in range(1, 8)),
            interfaces="".join(_INTERFACE.format(number=self.number, card=card) for card in range(self.cards)),
            port=5900 + self.number if live else -1,
        ).encode()


def shapes(count: int) -> list[Shape]:
    """Nine in ten run, with 2.2 vCPUs, 1.3 disks and 1.2 cards each on average."""
    return [
        Shape(
            number=number,
            vcpus=(1, 2, 2, 4)[number % 4],
            memory_kib=(1, 2, 4, 8)[number % 4] * 1024**2,
            disks=("vda", "vdb") if number % 3 == 1 else ("vda",),
            cards=2 if number % 5 == 2 else 1,
            runs=number % 10 != 9,
        )
        for number in range(count)
    ]


def state_record(state: int, reason: int) -> list[bytes]:
    return [int_param("state.state", state), int_param("state.reason", reason)]


def cpu_record(shape: Shape, state: int, reason: int, *, crowded: bool) -> Record:
    """The groups state, cpu and vcpu. On a crowded host vCPUs wait up to a fifth of the time, else next to nothing."""
    record = Record()
    record.add(*state_record(state, reason))
    busy = 0.05 + shape.number % 7 / 10
    record.counter("cpu.time", (busy + 0.02) * shape.vcpus * _NS)
    record.counter("cpu.user", busy * shape.vcpus * _NS)
    record.counter("cpu.system", 0.02 * shape.vcpus * _NS)
    record.add(uint_param("vcpu.current", shape.vcpus), uint_param("vcpu.maximum", shape.vcpus))
    for n in range(shape.vcpus):
        record.add(int_param(f"vcpu.{n}.state", 1))
        record.counter(f"vcpu.{n}.time", busy * _NS)
        record.counter(f"vcpu.{n}.wait", 0)
        record.add(bool_param(f"vcpu.{n}.halted", value=False))
        record.counter(f"vcpu.{n}.delay", (shape.number + n) % 5 / (20 if crowded else 1000) * _NS)
    return record


def rest_record(shape: Shape, name: str) -> Record:
    """The groups balloon, block and interface. `name` must be as long as all other names."""
    record = Record()
    memory = shape.memory_kib
    for field, per_s, start in (
        *(("current", 0, memory), ("maximum", 0, memory), ("swap_in", 0, 0), ("swap_out", 0, 0)),
        *(("major_fault", 0.5, 300), ("minor_fault", 80, 10**6), ("unused", 0, memory // 3)),
        *(("available", 0, memory - 40_000), ("usable", 0, memory // 2), ("last-update", 1, 1_700_000_000)),
        *(("disk_caches", 0, memory // 5), ("hugetlb_pgalloc", 0, 0), ("hugetlb_pgfail", 0, 0), ("rss", 0, memory)),
    ):
        record.counter(f"balloon.{field}", per_s, start)
    record.add(uint_param("block.count", len(shape.disks)))
    for n, target in enumerate(shape.disks):
        at = f"block.{n}."
        record.add(string_param(at + "name", target), uint_param(at + "backingIndex", n + 1))
        record.add(string_param(at + "path", f"/var/lib/libvirt/images/{name}-{target}.qcow2"))
        for field, per_s, start in (
            *(("rd.reqs", 20 + n, 5000), ("rd.bytes", 400_000, 10**8), ("rd.times", 6_000_000, 10**9)),
            *(("wr.reqs", 45 + n, 9000), ("wr.bytes", 700_000, 10**8), ("wr.times", 30_000_000, 10**9)),
            *(("fl.reqs", 4, 800), ("fl.times", 9_000_000, 10**9)),
            *(("allocation", 40_000, 12 * GIB), ("capacity", 0, 40 * GIB), ("physical", 40_000, 13 * GIB)),
        ):
            record.counter(at + field, per_s, start)
    record.add(uint_param("net.count", shape.cards))
    for n in range(shape.cards):
        at = f"net.{n}."
        record.add(string_param(at + "name", f"vnet{shape.number * 2 + n}"))
        for field, per_s in (
            *(("rx.bytes", 90_000), ("rx.pkts", 300), ("rx.errs", 0), ("rx.drop", 0.1)),
            *(("tx.bytes", 60_000), ("tx.pkts", 200), ("tx.errs", 0), ("tx.drop", 0)),
        ):
            record.counter(at + field, per_s)
    return record


def effective_seconds(seconds: _Seconds) -> _Seconds:
    """Time as the counters see it: now faster, now slower, never backwards."""
    told: _Seconds = seconds + 20 * np.sin(seconds / 40)
    return told

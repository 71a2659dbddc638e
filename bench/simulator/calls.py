"""The reply to each procedure that the collector calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

from bench.simulator.fleet import CELLS, CPUS, MEMORY_KIB, Guest, Host
from bench.simulator.guests import GIB
from bench.simulator.wire import NO_DOMAIN, OPERATION_INVALID, Arguments, Procedure, hyper, integer, string

_VERSION = 9_000_000
_FEATURES = {9, 10, 14, 15}
"""Strings among typed parameters, keepalive, events with callback ids, the close callback (VIR_DRV_FEATURE_…)."""
_ACTIVE, _INACTIVE, _MANAGED_SAVE, _AUTOSTART = 1, 2, 256, 1024
_TRANSIENT = 8
"""virConnectListAllDomainsFlags; the groups that all or none of the guests fit"""
_STATS_STATE, _STATS_BALLOON = 1, 4
_XML_INACTIVE = 2
_POOL_RUNNING = 2

_CAPABILITIES = """<capabilities>
  <host>
    <uuid>{uuid}</uuid>
    <cpu>
      <arch>x86_64</arch><model>EPYC-Milan</model><vendor>AMD</vendor>
      <topology sockets='2' dies='1' cores='16' threads='2'/>
    </cpu>
    <iommu support='yes'/>
    <topology><cells num='{cell_count}'>{cells}</cells></topology>
    <secmodel><model>apparmor</model><doi>0</doi></secmodel>
  </host>
  <guest>
    <os_type>hvm</os_type>
    <arch name='x86_64'><wordsize>64</wordsize><domain type='qemu'/><domain type='kvm'/></arch>
  </guest>
</capabilities>
"""
_CELL = (
    "<cell id='{id}'><memory unit='KiB'>{memory}</memory><distances>{distances}</distances><cpus>{cpus}</cpus></cell>"
)
_NETWORK = """<network>
  <name>default</name><uuid>{uuid}</uuid>
  <forward mode='nat'/><bridge name='virbr0' stp='on' delay='0'/>
</network>
"""
_POOL = """<pool type='dir'>
  <name>default</name><uuid>{uuid}</uuid>
  <capacity unit='bytes'>{capacity}</capacity><allocation unit='bytes'>{used}</allocation>
  <available unit='bytes'>{free}</available>
  <source></source>
  <target><path>/var/lib/libvirt/images</path></target>
</pool>
"""
_VOLUME = """<volume type='file'>
  <name>{name}</name><key>/var/lib/libvirt/images/{name}</key>
  <capacity unit='bytes'>42949672960</capacity><allocation unit='bytes'>12884901888</allocation>
  <physical unit='bytes'>13958643712</physical>
  <target>
    <path>/var/lib/libvirt/images/{name}</path><format type='qcow2'/>
    <permissions><mode>0600</mode><owner>64055</owner><group>64055</group></permissions>
    <compat>1.1</compat>
  </target>
</volume>
"""
_CAPACITY, _USED = 8000 * GIB, 900 * GIB


class Refused(Exception):
    """The call ends with an error. `code` is libvirt's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def _guest(host: Host, arguments: Arguments) -> Guest:
    try:
        return host.guests[arguments.domain()]
    except KeyError:
        raise Refused(NO_DOMAIN, "Domain not found") from None


# The connection and the machine


def _feature(_host: Host, arguments: Arguments) -> bytes:
    return integer(int(arguments.integer() in _FEATURES))


def _node_info(_host: Host, _arguments: Arguments) -> bytes:
    model = b"".join(integer(letter) for letter in b"x86_64".ljust(32, b"\0"))  # a char takes four bytes
    return model + hyper(MEMORY_KIB) + b"".join(map(integer, (CPUS, 2450, CELLS, 1, CPUS // CELLS // 2, 2)))


@cache
def _cells() -> str:
    each = CPUS // CELLS
    return "".join(
        _CELL.format(
            id=cell,
            memory=MEMORY_KIB // CELLS,
            distances="".join(
                f"<sibling id='{other}' value='{10 if other == cell else 20}'/>" for other in range(CELLS)
            ),
            cpus="".join(f"<cpu id='{cpu}'/>" for cpu in range(cell * each, (cell + 1) * each)),
        )
        for cell in range(CELLS)
    )


def _capabilities(host: Host, _arguments: Arguments) -> bytes:
    return string(_CAPABILITIES.format(uuid=host.uuid, cell_count=CELLS, cells=_cells()))


def _cpu_stats(host: Host, arguments: Arguments) -> bytes:
    number, wanted = arguments.integer(), arguments.integer()
    seconds = (time.monotonic() - host.began) * (CPUS if number == -1 else 1)
    shares = {"kernel": 0.04, "user": 0.3, "idle": 0.65, "iowait": 0.01}
    return _node_stats({name: int(share * seconds * 10**9) for name, share in shares.items()}, wanted)


def _cpu_map(_host: Host, _arguments: Arguments) -> bytes:
    return string(b"\xff" * (CPUS // 8)) + integer(CPUS) + integer(CPUS)


def _memory_stats(host: Host, arguments: Arguments) -> bytes:
    wanted, cell = arguments.integer(), arguments.integer()
    free = MEMORY_KIB // 3 + int(time.monotonic() * 100 + host.number) % 10_000
    whole = {"total": MEMORY_KIB, "free": free, "buffers": 400_000, "cached": 20_000_000}
    return _node_stats(whole if cell == -1 else {"total": MEMORY_KIB // CELLS, "free": free // CELLS}, wanted)


def _node_stats(values: dict[str, int], wanted: int) -> bytes:
    """Clients ask twice: first (`wanted` is 0) how many there are."""
    if not wanted:
        return integer(0) + integer(len(values))
    fields = b"".join(string(name) + hyper(value) for name, value in values.items())
    return integer(len(values)) + fields + integer(len(values))


# Guests


def _domains(host: Host, arguments: Arguments) -> bytes:
    arguments.integer()
    flags = arguments.integer()
    found = list(host.guests.values())
    if flags & (_TRANSIENT | _MANAGED_SAVE | _AUTOSTART):
        found = []
    if flags & _ACTIVE and not flags & _INACTIVE:
        found = [guest for guest in found if guest.active]
    return integer(len(found)) + b"".join(guest.domain() for guest in found) + integer(len(found))


_ROWS = {(True, False): Guest.cpu, (False, True): Guest.rest, (True, True): Guest.both}


def _stats(host: Host, arguments: Arguments) -> bytes:
    """State, CPU and vCPUs, or balloon, disks and cards, or both: the sets of groups that the collector asks for."""
    named = tuple(arguments.domain() for _ in range(arguments.integer()))
    groups, flags = arguments.integer(), arguments.integer()
    row = _ROWS[bool(groups & _STATS_STATE), bool(groups & _STATS_BALLOON)]
    return host.stats(row, named, active=bool(flags & _ACTIVE))


def _lookup(host: Host, arguments: Arguments) -> bytes:
    guest = host.guests.get(arguments.take(16))
    if guest is None:
        raise Refused(NO_DOMAIN, "Domain not found")
    return guest.domain()


def _xml(host: Host, arguments: Arguments) -> bytes:
    guest = _guest(host, arguments)
    return string(guest.xml(inactive=bool(arguments.integer() & _XML_INACTIVE)))


def _vcpus(host: Host, arguments: Arguments) -> bytes:
    guest, _, map_size = _guest(host, arguments), arguments.integer(), arguments.integer()
    if not guest.active:
        raise Refused(OPERATION_INVALID, "domain is not running")
    return guest.vcpus(map_size)


def _state(host: Host, arguments: Arguments) -> bytes:
    state, reason = _guest(host, arguments).state
    return integer(state) + integer(reason)


# Pools and networks


def _pool(host: Host) -> bytes:
    return string("default") + host.pool_uuid.bytes


def _network(host: Host) -> bytes:
    return string("default") + host.network_uuid.bytes


def _pool_xml(host: Host, _arguments: Arguments) -> bytes:
    return string(_POOL.format(uuid=host.pool_uuid, capacity=_CAPACITY, used=_USED, free=_CAPACITY - _USED))


def _volumes(host: Host, _arguments: Arguments) -> bytes:
    names = [f"{guest.name}-{target}.qcow2" for guest in host.guests.values() for target in guest.shape.disks]
    found = b"".join(string("default") + string(name) + string(f"/var/lib/libvirt/images/{name}") for name in names)
    return integer(len(names)) + found + integer(len(names))


def _volume_xml(_host: Host, arguments: Arguments) -> bytes:
    arguments.string()
    return string(_VOLUME.format(name=arguments.string().decode()))


def _always(body: bytes) -> Callable[[Host, Arguments], bytes]:
    return lambda _host, _arguments: body


_NONE, _NO, _YES = _always(b""), _always(integer(0)), _always(integer(1))
_P = Procedure

REPLIES: dict[int, Callable[[Host, Arguments], bytes]] = {
    _P.AUTH_LIST: _always(integer(1) + integer(0)),
    _P.CONNECT_OPEN: _NONE,
    _P.CONNECT_CLOSE: _NONE,
    _P.CONNECT_SUPPORTS_FEATURE: _feature,
    _P.CONNECT_GET_TYPE: _always(string("QEMU")),
    _P.CONNECT_GET_VERSION: _always(hyper(7_002_000)),
    _P.CONNECT_GET_LIB_VERSION: _always(hyper(_VERSION)),
    _P.CONNECT_GET_HOSTNAME: lambda host, _: string(host.name),
    _P.CONNECT_GET_URI: _always(string("qemu:///system")),
    _P.CONNECT_GET_CAPABILITIES: _capabilities,
    _P.CONNECT_REGISTER_CLOSE_CALLBACK: _NONE,
    _P.CONNECT_UNREGISTER_CLOSE_CALLBACK: _NONE,
    _P.NODE_GET_INFO: _node_info,
    _P.NODE_GET_CPU_STATS: _cpu_stats,
    _P.NODE_GET_MEMORY_STATS: _memory_stats,
    _P.NODE_GET_CPU_MAP: _cpu_map,
    _P.CONNECT_LIST_ALL_DOMAINS: _domains,
    _P.CONNECT_GET_ALL_DOMAIN_STATS: _stats,
    _P.DOMAIN_LOOKUP_BY_UUID: _lookup,
    _P.DOMAIN_GET_XML_DESC: _xml,
    _P.DOMAIN_GET_STATE: _state,
    _P.DOMAIN_GET_VCPUS: _vcpus,
    _P.DOMAIN_GET_INFO: lambda host, arguments: _guest(host, arguments).info(),
    _P.DOMAIN_IS_ACTIVE: lambda host, arguments: integer(int(_guest(host, arguments).active)),
    _P.DOMAIN_IS_PERSISTENT: _YES,
    _P.DOMAIN_GET_AUTOSTART: _NO,
    _P.DOMAIN_HAS_MANAGED_SAVE_IMAGE: _NO,
    _P.DOMAIN_SNAPSHOT_NUM: _NO,
    _P.DOMAIN_LIST_ALL_SNAPSHOTS: _always(integer(0) + integer(0)),
    _P.DOMAIN_INTERFACE_ADDRESSES: _NO,  # an empty list
    _P.CONNECT_LIST_ALL_STORAGE_POOLS: lambda host, _: integer(1) + _pool(host) + integer(1),
    _P.STORAGE_POOL_GET_INFO: _always(
        integer(_POOL_RUNNING) + hyper(_CAPACITY) + hyper(_USED) + hyper(_CAPACITY - _USED)
    ),
    _P.STORAGE_POOL_GET_XML_DESC: _pool_xml,
    _P.STORAGE_POOL_IS_PERSISTENT: _YES,
    _P.STORAGE_POOL_GET_AUTOSTART: _YES,
    _P.STORAGE_POOL_LIST_ALL_VOLUMES: _volumes,
    _P.STORAGE_VOL_GET_XML_DESC: _volume_xml,
    _P.CONNECT_LIST_ALL_NETWORKS: lambda host, _: integer(1) + _network(host) + integer(1),
    _P.NETWORK_GET_XML_DESC: lambda host, _: string(_NETWORK.format(uuid=host.network_uuid)),
    _P.NETWORK_IS_ACTIVE: _YES,
    _P.NETWORK_IS_PERSISTENT: _YES,
    _P.NETWORK_GET_AUTOSTART: _YES,
    _P.CONNECT_NETWORK_EVENT_DEREGISTER_ANY: _NONE,
    _P.CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY: _NONE,
    _P.CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY: _NONE,
}

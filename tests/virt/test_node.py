"""The machine, its pools and its networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmdash.virt import errors
from vmdash.virt.connection import HostConnection
from vmdash.virt.network import NetworkFacts
from vmdash.virt.node import _cells, _has_hardware_virtualization
from vmdash.virt.pool import PoolState
from vmdash.virt.uri import Driver, Endpoint, Transport
from vmdash.virt.xml import parse

CAPABILITIES = """
<capabilities>
  <host>
    <topology><cells num='2'>
      <cell id='0'><memory unit='KiB'>1024</memory>
        <distances><sibling id='0' value='10'/><sibling id='1' value='21'/></distances>
        <cpus num='2'><cpu id='0'/><cpu id='2'/></cpus></cell>
      <cell id='1'><memory unit='MiB'>2</memory>
        <distances><sibling id='0' value='21'/><sibling id='1' value='10'/></distances>
        <cpus num='2'><cpu id='1'/><cpu id='3'/></cpus></cell>
    </cells></topology>
  </host>
  <guest><os_type>hvm</os_type><arch name='x86_64'><domain type='qemu'/>{kvm}</arch></guest>
</capabilities>
"""


def test_the_facts_of_a_machine_are_told(host: HostConnection) -> None:
    facts = host.node.facts()
    assert (facts.hypervisor, facts.cpus, facts.sockets, facts.cores, facts.threads) == ("TEST", 8, 2, 2, 2)
    assert facts.memory_kib == 8388608
    assert facts.libvirt_version.count(".") == 2
    assert not facts.hardware_virtualization
    assert facts.hostname


def test_cells_have_their_cpus_and_memory_and_distances() -> None:
    first, second = _cells(parse(CAPABILITIES.format(kvm="")))
    assert (first.number, first.cpus, first.memory_kib, first.distances) == (0, (0, 2), 1024, ((0, 10), (1, 21)))
    assert (second.cpus, second.memory_kib) == ((1, 3), 2048)


@pytest.mark.parametrize(("kvm", "expected"), [("<domain type='kvm'/>", True), ("", False)])
def test_hardware_virtualization_is_there_when_kvm_guests_are(kvm: str, expected: bool) -> None:
    assert _has_hardware_virtualization(parse(CAPABILITIES.format(kvm=kvm)), "QEMU") is expected


def test_cpu_use_is_told_for_the_host_and_where_asked_for_each_cpu(host: HostConnection) -> None:
    assert host.node.cpu_stats().cpus == ()
    told = host.node.cpu_stats(per_cpu=True)
    assert [times.number for times in told.cpus] == [0, 2, 4]  # the test driver's others are offline
    assert told.total.number == -1
    assert told.total.busy_ns == told.total.user_ns + told.total.system_ns


def test_memory_use_is_unsupported_by_the_test_driver(host: HostConnection) -> None:
    with pytest.raises(errors.CallUnsupported):
        host.node.memory_stats()


def test_a_pool_tells_its_facts_and_follows_its_verbs(host: HostConnection) -> None:
    (pool,) = host.pools()
    facts = pool.facts()
    assert (facts.name, facts.type, facts.state, facts.target_path) == ("images", "dir", PoolState.RUNNING, "/images")
    assert facts.capacity_bytes == facts.allocation_bytes + facts.available_bytes > 0
    pool.stop()
    assert pool.facts().state is PoolState.INACTIVE
    pool.start()
    pool.refresh()
    assert pool.facts().state is PoolState.RUNNING
    assert "<name>images</name>" in pool.xml()


def test_a_network_tells_its_facts_and_follows_its_verbs(host: HostConnection) -> None:
    (network,) = host.networks()
    assert network.facts() == NetworkFacts(network.uuid, "lan", "virbr7", "nat", True, True, False)
    network.stop()
    assert not network.facts().active
    network.start()
    assert network.facts().active
    assert "virbr7" in network.xml()
    assert isinstance(network.leases(), tuple)


def test_a_network_that_runs_cannot_be_started(host: HostConnection) -> None:
    with pytest.raises(errors.CallError, match="Cannot start network lan on kvm1"):
        host.network("lan").start()


def test_cpu_use_of_a_cell_is_that_of_its_cpus(tmp_path: Path) -> None:
    """The test driver's own host has two cells of eight CPUs."""
    endpoint = Endpoint(Driver.TEST, Transport.UNIX)
    with HostConnection.open(endpoint, runtime_dir=tmp_path) as connection:
        told = connection.node.cpu_stats(per_cpu=True)
        assert connection.node.free_memory_kib() > 0
    assert [cell.number for cell in told.cells] == [0, 1]
    assert told.cells[0].user_ns == sum(cpu.user_ns for cpu in told.cpus if cpu.number < 8) > 0

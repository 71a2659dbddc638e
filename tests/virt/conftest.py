"""A test driver's host in this process, and real daemons on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.libvirtd import Libvirtd
from vmdash.virt import eventloop
from vmdash.virt.connection import HostConnection
from vmdash.virt.credentials import Credentials
from vmdash.virt.uri import Driver, Endpoint, Transport

NODE = """
<node>
  <domain type='test'>
    <name>web1</name>
    <uuid>11111111-1111-1111-1111-111111111111</uuid>
    <memory>1048576</memory>
    <currentMemory>524288</currentMemory>
    <vcpu>2</vcpu>
    <os><type>hvm</type></os>
    <devices>
      <disk type='file'><source file='/images/web1.img'/><target dev='vda' bus='virtio'/></disk>
      <interface type='network'><mac address='52:54:00:00:00:01'/><source network='lan'/></interface>
    </devices>
  </domain>
  <network>
    <name>lan</name>
    <uuid>22222222-2222-2222-2222-222222222222</uuid>
    <forward mode='nat'/>
    <bridge name='virbr7'/>
    <ip address='10.7.0.1' netmask='255.255.255.0'/>
  </network>
  <pool type='dir'>
    <name>images</name>
    <uuid>33333333-3333-3333-3333-333333333333</uuid>
    <target><path>/images</path></target>
  </pool>
  <cpu>
    <mhz>2000</mhz><model>x86_64</model><active>8</active><nodes>1</nodes><sockets>2</sockets><cores>2</cores>
    <threads>2</threads>
  </cpu>
  <memory>8388608</memory>
</node>
"""


@pytest.fixture(scope="session", autouse=True)
def libvirt_events() -> None:
    """libvirt's event loop runs in a thread of this process."""
    eventloop.start_thread()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[HostConnection]:
    """A host with one running guest, web1; each test has its own."""
    definition = tmp_path / "node.xml"
    definition.write_text(NODE)
    endpoint = Endpoint(Driver.TEST, Transport.UNIX, path=str(definition))
    with HostConnection.open(endpoint, runtime_dir=tmp_path / "run", name="kvm1") as connection:
        yield connection


@pytest.fixture
def daemon() -> Iterator[Libvirtd]:
    """A libvirtd of the test's own, over TCP."""
    server = Libvirtd()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def tls_daemon(authority: Authority) -> Iterator[Libvirtd]:
    """A libvirtd over TLS, for a module; its certificate is for 127.0.0.1 and kvm2.test."""
    server = Libvirtd(authority, ("127.0.0.1", "kvm2.test"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def tls_credentials(authority: Authority) -> Credentials:
    """What `tls_daemon` accepts."""
    certificate, key = authority.issue("vmdash")
    return Credentials(tls_ca_pem=authority.pem, tls_certificate_pem=certificate, tls_key_pem=key)

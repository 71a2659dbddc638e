"""What a collector might have seen, for tests."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.utils import timezone

from hosts.collector.inventory import AgentState, GuestSeen, SeenAgent, SeenDefinition
from vmdash.virt.guest import GuestFacts
from vmdash.virt.states import GuestState, GuestStatus

RUNNING = GuestStatus(GuestState.RUNNING, "booted")
PAUSED = GuestStatus(GuestState.PAUSED, "user")
MOVING = GuestStatus(GuestState.PAUSED, "migration")
SHUT_OFF = GuestStatus(GuestState.SHUT_OFF, "shutdown")

_XML = """
<domain type='kvm'>
  <name>{name}</name><uuid>{uuid}</uuid><title>{title}</title>
  <memory unit='MiB'>512</memory><vcpu>2</vcpu>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <numatune><memory mode='strict' nodeset='0-2,^1'/></numatune>
  <devices>
    <disk type='file' device='disk'><driver type='qcow2'/><source file='/images/a.qcow2'/>
      <target dev='vda' bus='virtio'/></disk>
    <interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/>
      <model type='virtio'/></interface>
    <serial type='pty'/>
    <graphics type='vnc' port='{port}' autoport='yes' listen='127.0.0.1'/>
  </devices>
</domain>
"""


def definition(uuid: UUID, name: str = "web1", *, title: str = "", port: int = -1) -> SeenDefinition:
    stored = _XML.format(uuid=uuid, name=name, title=title, port=-1)
    live = _XML.format(uuid=uuid, name=name, title=title, port=port)
    return SeenDefinition.parse(stored, live)


def facts(uuid: UUID, status: GuestStatus = RUNNING, name: str = "web1") -> GuestFacts:
    return GuestFacts(
        uuid=str(uuid),
        name=name,
        status=status,
        libvirt_id=1 if status.state.is_active else None,
        persistent=True,
        autostart=False,
        has_managed_save=False,
        vcpus=2,
        memory_kib=524288,
        max_memory_kib=524288,
        cpu_time_ns=0,
    )


def in_full(uuid: UUID, status: GuestStatus = RUNNING, name: str = "web1", *, witnessed: bool = False) -> GuestSeen:
    """As it is seen first."""
    return GuestSeen(
        str(uuid),
        timezone.now(),
        status,
        witnessed,
        facts=facts(uuid, status, name),
        definition=definition(uuid, name),
        agent=SeenAgent(AgentState.NONE),
    )


def state(uuid: UUID, status: GuestStatus, *, at: datetime | None = None, witnessed: bool = True) -> GuestSeen:
    """Its state alone, as after an event."""
    return GuestSeen(str(uuid), at or timezone.now(), status, witnessed)

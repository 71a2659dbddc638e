"""What guests tell of themselves: addresses and the operating system, from the guest agent or else from DHCP leases."""

from __future__ import annotations

import ipaddress
import logging
import math
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from hosts.collector.actor import Actor
from hosts.collector.crowd import Crowd
from hosts.collector.duties import Duty
from hosts.collector.inventory import AgentState, SeenAgent
from hosts.collector.lane import Lane
from hosts.collector.turns import Kind
from vmdash.virt.agent import GuestInterface
from vmdash.virt.errors import AgentUnresponsive, CallError
from vmdash.virt.guest import Guest
from vmdash.virt.xml.domain import DomainDefinition

log = logging.getLogger(__name__)

INTERVAL_S = 240
SILENT_S, SILENT_MOST_S = 60, 3600
"""An agent that does not answer is asked again after this, then after twice as long each time."""
TIMEOUT_S = 1
_CHANNEL = "org.qemu.guest_agent.0"


@dataclass(slots=True)
class _Record:
    """One guest; `seen` is what was handed over, `pause_s` how long its agent is left alone when it stays silent."""

    channel: AgentState
    active: bool
    seen: SeenAgent
    due: float
    pause_s: float = SILENT_S


class Agents:
    """Used on the event loop's thread. `handle` gives the read-only handle of an active guest that can answer now."""

    def __init__(
        self,
        lane: Lane,
        actor: Actor,
        crowd: Crowd,
        *,
        handle: Callable[[str], Guest | None],
        report: Callable[[str, SeenAgent], None],
    ) -> None:
        self._lane = lane
        self._actor = actor
        self._crowd = crowd
        self._handle = handle
        self._report = report
        self._records: dict[str, _Record] = {}
        self._first_due: float | None = None
        """Of all records; None: not known. It is asked for far more often than it changes."""

    def duty(self) -> Duty:
        return Duty(self._due, self._step, turns=Kind.REST)

    def noticed(self, uuid: str, definition: DomainDefinition, *, active: bool) -> SeenAgent:
        """Whether the agent's channel is open, as the guest's definition tells. Returns what is to be handed over."""
        channel = _channel_state(definition)
        record = self._records.get(uuid)
        if record is None or (record.channel, record.active) != (channel, active):
            leases = any(card.type == "network" for card in definition.interfaces)
            due = time.monotonic() if active and (leases or channel is AgentState.CONNECTED) else math.inf
            seen = SeenAgent(channel, addresses=None if active else ())
            record = self._records[uuid] = _Record(channel, active, seen, due)
            self._first_due = None
        return record.seen

    def forget(self, uuid: str) -> None:
        self._records.pop(uuid, None)
        self._first_due = None

    def _due(self) -> float:
        if self._first_due is None:
            self._first_due = min((record.due for record in self._records.values()), default=math.inf)
        return self._first_due

    async def _step(self) -> None:
        uuid, record = min(self._records.items(), key=lambda item: item[1].due)
        try:
            await self._ask_for(uuid, record)
        finally:
            self._first_due = None

    async def _ask_for(self, uuid: str, record: _Record) -> None:
        record.due = time.monotonic() + INTERVAL_S * self._crowd.stretch() * random.uniform(0.8, 1.2)  # noqa: S311
        handle = self._handle(uuid)
        if handle is None:
            return
        if record.channel is AgentState.CONNECTED and await self._actor.ready():
            try:
                seen = await self._lane.run(self._ask, uuid)
                record.pause_s = SILENT_S
            except AgentUnresponsive:
                seen = SeenAgent(AgentState.SILENT)
                record.due = time.monotonic() + record.pause_s
                record.pause_s = min(2 * record.pause_s, SILENT_MOST_S)
        else:
            addresses = await self._lane.run(lambda: _addresses(handle.interface_addresses(source="lease")))
            seen = replace(record.seen, addresses=addresses)
        if seen != record.seen and self._records.get(uuid) is record:
            record.seen = seen
            self._report(uuid, seen)

    def _ask(self, uuid: str) -> SeenAgent:
        """In the lane. Raises CallError."""
        guest = self._actor.guest(uuid)
        told = guest.agent_info(timeout_s=TIMEOUT_S)
        interfaces = told.interfaces
        if not interfaces:  # libvirt before 7.10
            try:
                interfaces = guest.interface_addresses(source="agent")
            except CallError as error:
                log.info("%s", error)
        return SeenAgent(AgentState.CONNECTED, _addresses(interfaces), told.os_name, told.users)


def _channel_state(definition: DomainDefinition) -> AgentState:
    if all(channel.name != _CHANNEL for channel in definition.channels):
        return AgentState.NONE
    return AgentState.CONNECTED if definition.agent_connected else AgentState.DISCONNECTED


def _addresses(interfaces: Iterable[GuestInterface]) -> tuple[str, ...]:
    """The addresses others can use, without prefix length."""
    found = []
    for interface in interfaces:
        for text in interface.addresses:
            try:
                address = ipaddress.ip_interface(text).ip
            except ValueError:
                continue
            if not (address.is_loopback or address.is_link_local):
                found.append(str(address))
    return tuple(dict.fromkeys(found))

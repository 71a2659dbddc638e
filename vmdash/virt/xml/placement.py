"""Which physical CPUs a guest may run on, and which cells its memory comes from, in its definition.

Source: https://libvirt.org/formatdomain.html, "CPU Tuning" and "NUMA Node Tuning".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from lxml import etree

from vmdash.virt import cpuset, xml

MOVABLE_MODE = "restrictive"
"""The memory policy whose cells can be changed while a guest runs."""


@dataclass(frozen=True, slots=True)
class Placement:
    """``pins``: the CPUs that each vCPU may run on, by its number; a vCPU that is not in it may run anywhere.
    ``emulator``: the same for QEMU's own threads. ``mode`` and ``cells`` are the memory policy; no mode: none."""

    pins: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    emulator: tuple[int, ...] = ()
    mode: str = ""
    cells: tuple[int, ...] = ()

    @classmethod
    def parse(cls, definition: str) -> Self:
        """Of a definition. Raises InvalidDefinition."""
        root = xml.parse(definition)
        pins = {
            int(pin.get("vcpu", "0")): tuple(cpuset.parse(pin.get("cpuset", "")))
            for pin in root.iterfind("./cputune/vcpupin")
        }
        emulator = root.find("./cputune/emulatorpin")
        memory = root.find("./numatune/memory")
        return cls(
            pins=pins,
            emulator=() if emulator is None else tuple(cpuset.parse(emulator.get("cpuset", ""))),
            mode="" if memory is None else memory.get("mode", "strict"),
            cells=() if memory is None else tuple(cpuset.parse(memory.get("nodeset", ""))),
        )

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """From what `stored()` gave."""
        return cls(
            pins={int(number): tuple(cpus) for number, cpus in stored["pins"].items()},
            emulator=tuple(stored["emulator"]),
            mode=stored["mode"],
            cells=tuple(stored["cells"]),
        )

    def stored(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "pins": {str(number): list(cpus) for number, cpus in self.pins.items()},
            "emulator": list(self.emulator),
            "mode": self.mode,
            "cells": list(self.cells),
        }


def with_placement(definition: str, wanted: Placement) -> str:
    """The definition with this placement; all else in it stays as it was. Raises InvalidDefinition."""
    root = xml.parse(definition)
    _drop(root, "./cputune/vcpupin", "./cputune/emulatorpin", "./numatune/memory")
    if wanted.pins or wanted.emulator:
        tune = _section(root, "cputune", before=("numatune", "resource", "sysinfo", "os"))
        pins = [
            etree.Element("vcpupin", vcpu=str(number), cpuset=cpuset.text_of(cpus))
            for number, cpus in sorted(wanted.pins.items())
        ]
        if wanted.emulator:
            pins.append(etree.Element("emulatorpin", cpuset=cpuset.text_of(wanted.emulator)))
        for index, pin in enumerate(pins):
            tune.insert(index, pin)
    if wanted.mode:
        tune = _section(root, "numatune", before=("resource", "sysinfo", "os"))
        tune.insert(0, etree.Element("memory", mode=wanted.mode, nodeset=cpuset.text_of(wanted.cells)))
    for name in ("cputune", "numatune"):
        for section in root.findall(f"./{name}"):
            if not len(section):
                root.remove(section)
    return etree.tostring(root, encoding="unicode")


def virsh_commands(name: str, wanted: Placement, all_cpus: tuple[int, ...], vcpus: int) -> str:
    """The same in a shell of the host, as one line."""
    commands = [
        f"vcpupin {name} {number} {cpuset.text_of(wanted.pins.get(number, all_cpus))} --live --config"
        for number in range(vcpus)
    ]
    commands.append(f"emulatorpin {name} {cpuset.text_of(wanted.emulator or all_cpus)} --live --config")
    if wanted.mode:
        when = "--live --config" if wanted.mode == MOVABLE_MODE else "--config"
        commands.append(f"numatune {name} --mode {wanted.mode} --nodeset {cpuset.text_of(wanted.cells)} {when}")
    return "; ".join(f"virsh {command}" for command in commands)


def _drop(root: etree._Element, *paths: str) -> None:
    for path in paths:
        for element in root.findall(path):
            parent = element.getparent()
            if parent is not None:
                parent.remove(element)


def _section(root: etree._Element, name: str, *, before: tuple[str, ...]) -> etree._Element:
    """The section of that name, made where libvirt's schema wants it if there is none."""
    found = root.find(f"./{name}")
    if found is not None:
        return found
    section = etree.Element(name)
    for child in root:
        if child.tag in before:
            child.addprevious(section)
            return section
    root.append(section)
    return section

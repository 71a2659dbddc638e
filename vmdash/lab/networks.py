"""Bridges of the practice fleet. They have no address: guests reach each other and nothing else."""

from __future__ import annotations

from pathlib import Path

from lxml import etree

from vmdash.lab.commands import LabError, run

_INTERFACES = Path("/sys/class/net")


def exists(name: str) -> bool:
    return (_INTERFACES / name).is_dir()


def ensure_bridge(name: str) -> bool:
    """Make the bridge if it does not exist. False when this machine cannot: no bridge driver, or no tap devices."""
    if not Path("/dev/net/tun").exists():
        return False
    if not exists(name):
        try:
            run(["ip", "link", "add", name, "type", "bridge"])
        except LabError:
            return False
    Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    run(["ip", "link", "set", name, "up"])
    return True


def remove_bridge(name: str) -> None:
    if exists(name):
        run(["ip", "link", "delete", name])


def remove_bridges_of_networks(states: Path) -> None:
    """Remove the bridges that a libvirtd made for its networks, after its end, by the state files it left in `states`.

    A bridge is only removed when it has the MAC address that libvirt gave it: one of the same name may be another's.
    """
    for file in states.glob("*.xml"):
        network = etree.parse(file).find("network")
        bridge, mac = (network.find(name) if network is not None else None for name in ("bridge", "mac"))
        if bridge is None or mac is None:
            continue
        name = bridge.get("name", "")
        address = _INTERFACES / name / "address"
        if address.is_file() and address.read_text().strip() == mac.get("address"):
            remove_bridge(name)

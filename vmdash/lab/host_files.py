"""The private files of a practice host: what its libvirtd and sshd find where a real host's configuration would be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from vmdash.lab import numa
from vmdash.lab.catalogue import HOSTS, LabHost, Transport
from vmdash.lab.commands import run
from vmdash.lab.credentials import SASL_USER, SSH_PORT, TCP_PORT, TLS_PORT, Credentials
from vmdash.lab.layout import Lab

_LIBVIRT_FOLDERS = ("/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt")
_FIREWALL_TOOLS = ("/usr/sbin/iptables", "/usr/sbin/ip6tables", "/usr/sbin/ebtables")


def write(lab: Lab, spec: LabHost, keys: Credentials, root: Path) -> list[str]:
    """Write the files below `root`; returns the paths that the host is to see from there, /run last."""
    binds = [*_LIBVIRT_FOLDERS, "/etc/hosts"]
    for folder in (*_LIBVIRT_FOLDERS, "/var/lib/libvirt/images", "/run/sshd", "/run/lock"):
        _below(root, folder).mkdir(parents=True, exist_ok=True)
    _write(root, "/etc/hosts", f"127.0.0.1 localhost\n{lab.address(spec.number)} {spec.name}\n")
    _write(root, "/etc/libvirt/libvirtd.conf", configuration(_libvirtd_settings(lab, spec, keys)))
    _write(root, "/etc/libvirt/qemu.conf", configuration(_qemu_settings(lab, spec, keys)))
    _write(root, "/etc/libvirt/network.conf", configuration({"firewall_backend": "iptables"}))
    _write(root, "/etc/sasl2/libvirt.conf", "mech_list: digest-md5\nsasldb_path: /etc/libvirt/passwd.db\n")
    _write_sasl_database(_below(root, "/etc/libvirt/passwd.db"), spec, keys)
    binds.append("/etc/sasl2")
    # What this host's libvirtd shows to the others when it sends them a guest.
    _write(root, "/etc/libvirt/auth.conf", _auth_file(lab, keys), mode=0o600)
    if spec.transport is Transport.SSH:
        _write(root, "/etc/ssh/sshd_config", _lines(_sshd_settings(lab, spec, keys)))
        # Root's account may be locked on this machine; here the authorized key is all that counts.
        _write(root, "/etc/pam.d/sshd", "account required pam_permit.so\nsession required pam_permit.so\n")
        binds += ["/etc/ssh", "/etc/pam.d/sshd"]
    if spec.numa_simulated and numa.SYSFS.exists():
        numa.write_two_cells(_below(root, str(numa.SYSFS)))
        binds.append(str(numa.SYSFS))
    if not lab.kvm and Path("/dev/kvm").exists():
        _write(root, "/dev/kvm", "")
        binds.append("/dev/kvm")
    for tool in sorted({str(Path(name).resolve()) for name in _FIREWALL_TOOLS if Path(name).exists()}):
        # libvirt would add its chains to this machine's firewall, and practice networks have no way out to guard.
        _write(root, tool, "#!/bin/sh\nexit 0\n", mode=0o755)
        binds.append(tool)
    return [*binds, "/run"]


def _libvirtd_settings(lab: Lab, spec: LabHost, keys: Credentials) -> Mapping[str, object]:
    return {
        "host_uuid": lab.uuid(spec.name),
        "listen_addr": lab.address(spec.number),
        "listen_tcp": 1,  # all of them: the other hosts send guests this way
        "listen_tls": int(spec.transport is Transport.TLS),
        "tcp_port": str(TCP_PORT),
        "tls_port": str(TLS_PORT),
        "auth_tcp": "sasl",
        "auth_tls": "none",  # the client certificate is what counts
        "auth_unix_ro": "none",
        "auth_unix_rw": "none",
        "key_file": str(keys.server_key),
        "cert_file": str(keys.server_certificate),
        "ca_file": str(keys.ca_certificate),
        "log_outputs": "3:file:/var/log/libvirt/libvirtd.log",
    }


def _qemu_settings(lab: Lab, spec: LabHost, keys: Credentials) -> Mapping[str, object]:
    address = lab.address(spec.number)
    vnc, websocket, migration = (
        ports(spec.number) for ports in (lab.vnc_ports, lab.websocket_ports, lab.migration_ports)
    )
    return {
        "security_driver": "none",
        "user": "root",
        "group": "root",
        "dynamic_ownership": 0,
        "remember_owner": 0,
        "namespaces": [],
        "cgroup_controllers": [],
        "stdio_handler": "file",
        "vnc_listen": address,
        # With a password from the start a guest's VNC server can be given another one later.
        "vnc_password": keys.vnc_password,
        "remote_display_port_min": vnc[0],
        "remote_display_port_max": vnc[1],
        "remote_websocket_port_min": websocket[0],
        "remote_websocket_port_max": websocket[1],
        "migration_host": address,
        "migration_address": address,
        "migration_port_min": migration[0],
        "migration_port_max": migration[1],
    }


def _sshd_settings(lab: Lab, spec: LabHost, keys: Credentials) -> Mapping[str, object]:
    return {
        "ListenAddress": f"{lab.address(spec.number)}:{SSH_PORT}",
        "HostKey": keys.ssh_host_key,
        "AuthorizedKeysFile": keys.ssh_public_key,
        "PidFile": "/run/sshd.pid",
        "PermitRootLogin": "prohibit-password",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "UsePAM": "yes",
        "UseDNS": "no",
        "StrictModes": "no",  # the folders above the key file belong to whoever runs the fleet
    }


def _write_sasl_database(file: Path, spec: LabHost, keys: Credentials) -> None:
    """The realm is the host name that libvirtd will have."""
    run(
        ["saslpasswd2", "-c", "-p", "-a", "libvirt", "-u", spec.name, "-f", file, SASL_USER],
        stdin=keys.sasl_password,
    )


def _auth_file(lab: Lab, keys: Credentials) -> str:
    sections = [f"[credentials-lab]\nauthname={SASL_USER}\npassword={keys.sasl_password}\n"]
    sections += [f"[auth-libvirt-{lab.address(host.number)}]\ncredentials=lab\n" for host in HOSTS]
    return "\n".join(sections)


def configuration(settings: Mapping[str, object]) -> str:
    """libvirt's configuration format; its numbers, strings and lists are written as in JSON."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


def _lines(settings: Mapping[str, object]) -> str:
    return "".join(f"{name} {value}\n" for name, value in settings.items())


def _write(root: Path, path: str, content: str, *, mode: int = 0o644) -> None:
    file = _below(root, path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    file.chmod(mode)


def _below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")

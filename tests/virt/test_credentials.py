"""Secrets as files: private, complete, and written anew only when they change."""

from __future__ import annotations

import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from hosts.keys import generate_ssh_key
from tests.certificates import Authority
from vmdash.exceptions import InvalidInput
from vmdash.virt.credentials import Credentials, forget, materialise, write_ssh_command
from vmdash.virt.uri import Driver, Endpoint, Transport

SSH = Endpoint(Driver.QEMU, Transport.SSH, "kvm3.test", 2222, "root")
TLS = Endpoint(Driver.QEMU, Transport.TLS, "kvm2.test")
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFWig10prbw/D1xc1uRI3qso1KINg61O4gKveMKRsHKu"


def parameters(uri: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(uri).query)


def test_secrets_are_readable_by_us_alone(tmp_path: Path) -> None:
    directory = tmp_path / "hosts" / "7"
    materialise(SSH, Credentials(ssh_private_key_pem=generate_ssh_key(), ssh_host_keys=HOST_KEY), directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    files = [path for path in directory.iterdir() if not path.is_symlink()]
    assert {path.name for path in files} == {"id", "known_hosts", "ssh_config"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)


def test_writing_them_again_touches_nothing(tmp_path: Path) -> None:
    credentials = Credentials(ssh_private_key_pem=generate_ssh_key(), ssh_host_keys=HOST_KEY)
    materialise(SSH, credentials, tmp_path)
    before = {path.name: path.lstat().st_ino for path in tmp_path.iterdir()}
    assert materialise(SSH, credentials, tmp_path) == materialise(SSH, credentials, tmp_path)
    assert {path.name: path.lstat().st_ino for path in tmp_path.iterdir()} == before


def test_a_new_key_replaces_the_old_one(tmp_path: Path) -> None:
    old, new = (Credentials(ssh_private_key_pem=generate_ssh_key(), ssh_host_keys=HOST_KEY) for _ in range(2))
    materialise(SSH, old, tmp_path)
    materialise(SSH, new, tmp_path)
    assert (tmp_path / "id").read_text() == new.ssh_private_key_pem


def test_many_threads_may_write_at_once(tmp_path: Path) -> None:
    kinds = [Credentials(ssh_private_key_pem=generate_ssh_key(), ssh_host_keys=HOST_KEY) for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: materialise(SSH, kinds[n % 4], tmp_path), range(80)))
    assert (tmp_path / "id").read_text() in {kind.ssh_private_key_pem for kind in kinds}
    assert {path.name for path in tmp_path.iterdir()} == {"id", "known_hosts", "ssh", "ssh_config"}


def test_the_ssh_command_uses_our_settings_wherever_it_is_called_from(tmp_path: Path) -> None:
    directory = tmp_path / 'a "strange" place'
    credentials = Credentials(ssh_private_key_pem=generate_ssh_key(), ssh_host_keys=HOST_KEY)
    command = write_ssh_command(SSH, credentials, directory)
    shown = subprocess.run([command, "-G", "kvm3.test"], capture_output=True, text=True, check=True, cwd="/").stdout
    settings = dict(line.split(" ", 1) for line in shown.splitlines())
    assert settings["identityfile"] == str(directory / "id")
    assert settings["userknownhostsfile"] == str(directory / "known_hosts")
    assert settings["globalknownhostsfile"] == "/dev/null"
    assert settings["stricthostkeychecking"] == "true"
    assert settings["batchmode"] == "yes"
    assert settings["identitiesonly"] == "yes"


@pytest.mark.parametrize(
    ("address", "port", "pattern"),
    [("kvm3.test", None, "kvm3.test"), ("kvm3.test", 2222, "[kvm3.test]:2222"), ("2001:db8::7", 22, "2001:db8::7")],
)
def test_confirmed_host_keys_are_written_for_the_address_in_use(
    tmp_path: Path, address: str, port: int | None, pattern: str
) -> None:
    endpoint = Endpoint(Driver.QEMU, Transport.SSH, address, port)
    for stored in (HOST_KEY, f"elsewhere {HOST_KEY} a comment"):
        materialise(endpoint, Credentials(ssh_host_keys=stored), tmp_path)
        assert (tmp_path / "known_hosts").read_text() == f"{pattern} {HOST_KEY}\n"


def test_libssh_gets_the_same_as_parameters(tmp_path: Path) -> None:
    endpoint = Endpoint(Driver.QEMU, Transport.LIBSSH, "kvm3.test")
    credentials = Credentials(ssh_private_key_pem=generate_ssh_key(), ssh_host_keys=HOST_KEY)
    told = parameters(materialise(endpoint, credentials, tmp_path).uri)
    assert told["keyfile"] == [str(tmp_path / "id")]
    assert told["known_hosts_verify"] == ["normal"]


def test_tls_files_have_the_names_libvirt_looks_for(tmp_path: Path) -> None:
    authority = Authority()
    certificate, key = authority.issue("vmdash")
    credentials = Credentials(tls_ca_pem=authority.pem, tls_certificate_pem=certificate, tls_key_pem=key)
    told = parameters(materialise(TLS, credentials, tmp_path).uri)
    assert told == {"pkipath": [str(tmp_path)]}
    assert {path.name for path in tmp_path.iterdir()} == {"cacert.pem", "clientcert.pem", "clientkey.pem"}


def test_a_confirmed_server_certificate_stands_in_for_the_ca(tmp_path: Path) -> None:
    certificate, _ = Authority().issue("kvm2.test")
    told = parameters(materialise(TLS, Credentials(tls_ca_pem=certificate), tmp_path).uri)
    assert told["no_sanity"] == ["1"]
    assert "no_verify" not in told


def test_what_is_no_certificate_or_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not a certificate"):
        materialise(TLS, Credentials(tls_ca_pem="hello"), tmp_path)
    with pytest.raises(InvalidInput, match="not a public key"):
        materialise(SSH, Credentials(ssh_host_keys="hello"), tmp_path)


def test_secrets_show_neither_in_a_repr_nor_in_a_uri(tmp_path: Path) -> None:
    credentials = Credentials(sasl_username="vmdash", sasl_password="hunter2")
    endpoint = Endpoint(Driver.QEMU, Transport.TCP, "kvm1.test")
    assert repr(credentials) == "Credentials()"
    assert "hunter2" not in materialise(endpoint, credentials, tmp_path).uri
    assert not list(tmp_path.iterdir())


def test_forgetting_leaves_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "7"
    materialise(SSH, Credentials(ssh_private_key_pem=generate_ssh_key(), ssh_host_keys=HOST_KEY), directory)
    forget(directory)
    forget(directory)
    assert not directory.exists()

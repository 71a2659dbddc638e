"""Where other hosts reach a host to send it guests."""

from __future__ import annotations

import pytest

from hosts import connect
from hosts.addresses import clean_migration_uri
from tests.factories import HostFactory
from vmdash.exceptions import InvalidInput

pytestmark = pytest.mark.django_db


def test_without_one_it_is_how_vmdash_reaches_the_host() -> None:
    host = HostFactory.create(transport="tls", address="kvm2.example.org", path="/system")
    assert connect.migration_uri(host) == "qemu+tls://kvm2.example.org/system"


def test_what_people_wrote_counts_first() -> None:
    host = HostFactory.create(migration_uri="qemu+tcp://10.1.0.2/system")
    assert connect.migration_uri(host) == "qemu+tcp://10.1.0.2/system"


def test_a_host_reached_by_its_socket_alone_has_none() -> None:
    host = HostFactory.create(transport="unix", address="", port=None, path="/system")
    assert connect.migration_uri(host) == ""


@pytest.mark.parametrize(
    "uri",
    [
        "qemu:///system",
        "qemu+ssh://kvm2/system?command=/bin/sh",
        "qemu+tls://kvm2/system?no_verify=1",
        "qemu+tls://169.254.169.254/system",
        "http://kvm2/",
        "kvm2",
    ],
)
def test_what_leads_nowhere_or_runs_programs_is_refused(uri: str) -> None:
    with pytest.raises(InvalidInput):
        clean_migration_uri(uri)

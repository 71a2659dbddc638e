"""A migration, as the two hosts tell of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import libvirt
import pytest

from tests.virt.test_errors import libvirt_error
from vmdash.virt import migration
from vmdash.virt.errors import CallUnsupported
from vmdash.virt.guest import Guest


def guest_whose_job_cannot_be_read(code: int) -> Guest:
    def job_stats() -> None:
        raise libvirt_error(code)

    return cast(Guest, SimpleNamespace(name="web1", host="kvm2", raw=SimpleNamespace(jobStats=job_stats)))


def test_the_target_tells_no_figures_of_a_guest_that_arrives_but_that_it_does() -> None:
    """QEMU's driver: "migration statistics are available only on the source host"."""
    found = migration.progress(guest_whose_job_cannot_be_read(libvirt.VIR_ERR_OPERATION_UNSUPPORTED))
    assert found is not None
    assert (found.processed_bytes, found.remaining_bytes) == (0, 0)


def test_a_guest_that_has_just_stopped_does_not_move() -> None:
    assert migration.progress(guest_whose_job_cannot_be_read(libvirt.VIR_ERR_OPERATION_INVALID)) is None


def test_a_driver_without_migrations_says_so() -> None:
    with pytest.raises(CallUnsupported):
        migration.progress(guest_whose_job_cannot_be_read(libvirt.VIR_ERR_NO_SUPPORT))

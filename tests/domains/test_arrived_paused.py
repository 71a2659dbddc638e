"""A guest that was moved while paused is not moved or saved again before it has run: QEMU would crash."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from domains.migration.services import request_migration
from domains.models import Domain, Migration
from domains.services import act
from hosts.models import Host
from tests.factories import DomainFactory, HostFactory
from vmdash.access.models import User
from vmdash.exceptions import Conflict
from vmdash.virt.migration_types import MigrationOptions

pytestmark = pytest.mark.django_db

WORDS = "it was paused when it was moved here and has not run since"


@pytest.fixture
def kvm2() -> Host:
    return HostFactory.create(name="kvm2", hypervisor_version="7.2.22")


@pytest.fixture
def git(kvm2: Host) -> Domain:
    """Paused for an hour, moved to kvm2 a minute ago."""
    now = timezone.now()
    guest: Domain = DomainFactory.create(name="git", host=kvm2, state="paused", state_since=now - timedelta(hours=1))
    Migration.objects.create(
        domain=guest, source_name="kvm1", target_name="kvm2", how="live", outcome="moved",
        started_at=now - timedelta(minutes=1), duration_ms=2000,
    )  # fmt: skip
    return guest


def move(guest: Domain, user: User) -> None:
    target = HostFactory.create(name="kvm1")
    request_migration(domain=guest, target=target, user=user, options=MigrationOptions())


def test_it_is_neither_moved_nor_saved(git: Domain, operator: User) -> None:
    with pytest.raises(Conflict, match=WORDS):
        move(git, operator)
    with pytest.raises(Conflict, match=WORDS):
        act(domain=git, action="save", user=operator)
    act(domain=git, action="resume", user=operator)


def test_it_is_when_it_has_run_in_between(git: Domain, operator: User) -> None:
    git.state_since = timezone.now() + timedelta(minutes=1)
    move(git, operator)


def test_it_is_on_newer_hypervisors(git: Domain, operator: User) -> None:
    git.host.hypervisor_version = "10.0.0"
    move(git, operator)


def test_one_that_was_never_moved_can_be_saved(git: Domain, operator: User) -> None:
    git.migrations.all().delete()
    act(domain=git, action="save", user=operator)

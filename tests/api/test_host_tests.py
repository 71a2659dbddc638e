"""Scripts that have a host tested, confirm what it showed, and forget that again; and how it merges memory."""

from __future__ import annotations

import pytest

from hosts.models import Host
from hosts.outcome import TEST_KIND
from tests.access.world import KSM
from tests.api.caller import Caller
from tests.factories import HostFactory, JobFactory
from vmdash.access.models import AuditEntry, User
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"
FINGERPRINT = "SHA256:compared"
ASKS = {
    "code": "host_key_unknown", "message": "Nobody has confirmed its key.", "hint": "Compare it.", "detail": "",
    "host_keys": [{"kind": "ssh-ed25519", "sha256": FINGERPRINT, "key": KEY}],
}  # fmt: skip


@pytest.fixture
def manages(administrator: User) -> Caller:
    return Caller(administrator)


@pytest.fixture
def kvm1() -> Host:
    return HostFactory.create(name="kvm1", transport="ssh", enabled=False, ksm=KSM)


def have_said(host: Host, result: object, state: Job.State = Job.State.FAILED) -> None:
    JobFactory.create(
        kind=TEST_KIND, target_kind="host", target_id=str(host.pk), target_name=host.name, state=state, result=result
    )


def test_a_test_is_a_job_and_its_outcome_is_read(manages: Caller, kvm1: Host) -> None:
    assert manages.get("/hosts/kvm1/test").json()["job"] is None
    answer = manages.post("/hosts/kvm1/test", {"enable": True})
    assert (answer.status_code, answer.json()["kind"]) == (202, "host.test")
    assert Job.objects.get().parameters == {"enable": True}
    told = manages.get("/hosts/kvm1/test").json()
    assert (told["job"]["id"], told["passed"], told["uri"]) == (
        answer.json()["id"], False, "qemu+ssh://127.0.255.254/system",
    )  # fmt: skip


def test_what_a_host_is_is_told_after_a_test_that_passed(manages: Caller, kvm1: Host) -> None:
    facts = {
        "hostname": "kvm1.example.org", "uuid": "u", "hypervisor": "QEMU", "hypervisor_version": "7.2.0",
        "libvirt_version": "9.0.0", "arch": "x86_64", "cpu_model": "EPYC", "cpus": 8, "memory_kib": 1024, "cells": [],
    }  # fmt: skip
    have_said(kvm1, {"facts": facts, "latency_ms": 0.4}, Job.State.SUCCEEDED)
    told = manages.get("/hosts/kvm1/test").json()
    assert (told["passed"], told["facts"]["hostname"], told["latency_ms"]) == (True, "kvm1.example.org", 0.4)
    assert told["shown"] is None


def test_the_fingerprint_that_was_compared_is_confirmed_and_tested_again(manages: Caller, kvm1: Host) -> None:
    have_said(kvm1, ASKS)
    told = manages.get("/hosts/kvm1/test").json()
    assert (told["code"], told["hint"], told["passed"]) == ("host_key_unknown", "Compare it.", False)
    assert (told["shown"]["fingerprint"], told["shown"]["can_be_confirmed"]) == (FINGERPRINT, True)
    answer = manages.post("/hosts/kvm1/trust", {"fingerprint": FINGERPRINT})
    assert (answer.status_code, answer.json()["kind"]) == (202, "host.test")
    kvm1.refresh_from_db()
    assert kvm1.known_host_key == KEY
    assert AuditEntry.objects.filter(action="host.trust", target_name="kvm1").exists()


def test_another_fingerprint_confirms_nothing(manages: Caller, kvm1: Host) -> None:
    assert manages.post("/hosts/kvm1/trust", {"fingerprint": FINGERPRINT}).status_code == 409  # never tested
    have_said(kvm1, ASKS)
    answer = manages.post("/hosts/kvm1/trust", {"fingerprint": "SHA256:somebody in between"})
    assert answer.status_code == 409
    kvm1.refresh_from_db()
    assert kvm1.known_host_key == ""
    assert Job.objects.count() == 1


def test_a_key_that_changed_is_shown_and_can_be_confirmed_only_after_forgetting(manages: Caller, kvm1: Host) -> None:
    Host.objects.filter(pk=kvm1.pk).update(known_host_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5BBBB")
    have_said(kvm1, ASKS | {"code": "host_key_changed"})
    shown = manages.get("/hosts/kvm1/test").json()["shown"]
    assert (shown["can_be_confirmed"], shown["trusted"][:7]) == (False, "SHA256:")
    assert manages.post("/hosts/kvm1/trust", {"fingerprint": FINGERPRINT}).status_code == 409
    assert manages.post("/hosts/kvm1/forget").status_code == 202
    kvm1.refresh_from_db()
    assert kvm1.known_host_key == ""


def test_who_sees_the_host_alone_may_not_and_of_none_nothing_is_told(operator: User, kvm1: Host) -> None:
    calls = Caller(operator)
    have_said(kvm1, ASKS)
    asked = [
        calls.get("/hosts/kvm1/test"),
        calls.post("/hosts/kvm1/test", {}),
        calls.post("/hosts/kvm1/trust", {"fingerprint": FINGERPRINT}),
        calls.post("/hosts/kvm1/forget"),
        calls.post("/hosts/kvm1/ksm", {"pages_to_scan": 0, "sleep_ms": 20}),
    ]
    assert {answer.status_code for answer in asked} == {403}
    kvm1.refresh_from_db()
    assert kvm1.known_host_key == ""
    assert Job.objects.count() == 1


def test_what_is_not_there_is_not_found(manages: Caller) -> None:
    assert manages.get("/hosts/kvm2/test").status_code == 404
    assert manages.post("/hosts/kvm2/trust", {"fingerprint": FINGERPRINT}).status_code == 404


def test_how_a_host_merges_memory_is_read_and_changed(manages: Caller, viewer: User, kvm1: Host) -> None:
    Host.objects.filter(pk=kvm1.pk).update(enabled=True)
    told = Caller(viewer).get("/hosts/kvm1/ksm").json()
    assert (told["pages_to_scan"], told["saved_kib"]) == (100, 8)
    answer = manages.post("/hosts/kvm1/ksm", {"pages_to_scan": 0, "sleep_ms": 20})
    assert answer.status_code == 202
    assert Job.objects.get().parameters == {"pages_to_scan": 0, "sleep_ms": 20}
    assert manages.post("/hosts/kvm1/ksm", {"pages_to_scan": -1, "sleep_ms": 20}).status_code == 422


def test_a_host_that_tells_nothing_of_ksm_has_none(manages: Caller) -> None:
    HostFactory.create(name="kvm3", ksm={})
    assert manages.get("/hosts/kvm3/ksm").status_code == 404
    assert manages.post("/hosts/kvm3/ksm", {"pages_to_scan": 1, "sleep_ms": 20}).status_code == 409

"""What a drain plans for each guest, and what a return would bring back."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.utils import timezone

from domains.draining.back import plan_return
from domains.draining.models import Drain, DrainedGuest, Fallback, How
from domains.draining.plan import Plan, Policy, Step, plan_drain
from domains.models import Domain
from hosts.models import Host
from storage.models import Storage
from tests.factories import DomainFactory, HostFactory, JobFactory, PoolFactory, VolumeFactory
from tests.queries import queries_of
from vmdash.access.models import User

pytestmark = pytest.mark.django_db

GIB = 1024 * 1024
"""In KiB."""


@pytest.fixture
def kvm1() -> Host:
    return HostFactory.create(name="kvm1")


@pytest.fixture
def kvm2() -> Host:
    return HostFactory.create(name="kvm2")


def xml(*, disk: str = "", devices: str = "", cpu: str = "") -> str:
    drive = (
        f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/>"
        "<target dev='vda' bus='virtio'/></disk>"
        if disk
        else ""
    )
    return (
        f"<domain type='kvm'><name>x</name><memory unit='KiB'>524288</memory><os><type arch='x86_64'>hvm</type></os>"
        f"{cpu}<devices>{drive}{devices}</devices></domain>"
    )


def guest(host: Host, name: str, *, gib: float = 1, **fields: Any) -> Domain:
    made: Domain = DomainFactory.create(host=host, name=name, max_memory_kib=int(gib * GIB), **{"xml": xml(), **fields})
    return made


def drain(host: Host, user: User, fallback: Fallback = Fallback.SAVE, *, strict: bool = False) -> Plan:
    return plan_drain(host, Policy(fallback, strict), user)


def step(plan: Plan, name: str) -> Step:
    return next(step for step in plan.steps if step.guest.name == name)


def to(plan: Plan) -> dict[str, str]:
    return {step.guest.name: step.target.name if step.target else str(step.how) for step in plan.steps}


class TestWhereGuestsGo:
    def test_each_goes_where_most_memory_stays_free_and_counts_for_the_next(
        self, kvm1: Host, kvm2: Host, operator: User
    ) -> None:
        HostFactory.create(name="kvm3", memory_kib=16 * GIB)
        for name in ("a", "b", "c", "d"):
            guest(kvm1, name, gib=4)
        plan = drain(kvm1, operator)
        assert to(plan) == {"a": "kvm2", "b": "kvm3", "c": "kvm2", "d": "kvm3"}
        assert {target.host.name: (target.guests, target.free_kib) for target in plan.targets} == {
            "kvm2": (2, 8 * GIB),
            "kvm3": (2, 8 * GIB),
        }

    def test_a_host_is_not_filled_by_earlier_guests_of_the_same_plan(
        self, kvm1: Host, kvm2: Host, operator: User
    ) -> None:
        guest(kvm2, "there", gib=6)
        for name in ("a", "b", "c"):
            guest(kvm1, name, gib=4)
        plan = drain(kvm1, operator)
        assert to(plan) == {"a": "kvm2", "b": "kvm2", "c": "save"}
        assert step(plan, "c").why == "kvm2 has 2 GiB of memory left, too little for its 4 GiB."

    def test_large_guests_are_placed_before_small_ones_and_those_that_are_off_need_no_memory(
        self, kvm1: Host, kvm2: Host, operator: User
    ) -> None:
        guest(kvm1, "small", gib=2)
        guest(kvm1, "off", gib=64, state="shut_off")
        guest(kvm1, "large", gib=12)
        plan = drain(kvm1, operator)
        assert [(step.guest.name, step.how) for step in plan.steps] == [
            ("large", How.MOVE_LIVE),
            ("small", How.MOVE_LIVE),
            ("off", How.MOVE_OFF),
        ]

    def test_where_nothing_is_copied_comes_before_more_memory(self, kvm1: Host, kvm2: Host, operator: User) -> None:
        kvm3 = HostFactory.create(name="kvm3", memory_kib=64 * GIB)
        nfs = Storage.objects.create(name="nfs1:/vms", evidence="source")
        for host in (kvm1, kvm2):
            PoolFactory.create(host=host, name="vms", path="/vms", storage=nfs)
        PoolFactory.create(host=kvm3, name="vms", path="/vms")
        guest(kvm1, "web1", xml=xml(disk="/vms/web1.qcow2"))
        plan = drain(kvm1, operator)
        assert to(plan) == {"web1": "kvm2"}
        assert step(plan, "web1").why.startswith("None of its disks is copied. 15 GiB of memory stay free there.")
        Host.objects.filter(pk=kvm2.pk).update(state="unreachable")
        assert to(drain(kvm1, operator)) == {"web1": "kvm3"}

    def test_copies_of_earlier_guests_take_room_too(self, kvm1: Host, kvm2: Host, operator: User) -> None:
        here = PoolFactory.create(host=kvm1, name="default", path="/images")
        PoolFactory.create(host=kvm2, name="default", path="/images", available_bytes=3 * 2**30)
        for name in ("a", "b"):
            VolumeFactory.create(pool=here, name=f"{name}.qcow2", allocation_bytes=2 * 2**30)
            guest(kvm1, name, xml=xml(disk=f"/images/{name}.qcow2"))
        plan = drain(kvm1, operator)
        assert to(plan) == {"a": "kvm2", "b": "save"}
        assert step(plan, "a").why.startswith("1 disk is copied, 2 GiB.")
        assert step(plan, "b").why == "kvm2 has too little room left in pool default for its disks."

    def test_a_fresh_check_counts_more_than_the_inventory(self, kvm1: Host, kvm2: Host, operator: User) -> None:
        web1 = guest(kvm1, "web1")
        lines = [{"subject": "CPU", "level": "failed", "words": "kvm2 lacks features.", "remedy": ""}]
        JobFactory.create(
            kind="domain.migrate_check", domain=web1, state="succeeded",
            exclusive=False, parameters={"source": kvm1.pk}, finished_at=timezone.now(),
            result={"targets": {str(kvm2.pk): {"verdict": "failed", "lines": lines, "disks": []}}},
        )  # fmt: skip
        assert step(drain(kvm1, operator), "web1").why == "kvm2 lacks features."

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"state": "unreachable"}, "It does not answer."),
            ({"enabled": False}, "It is disabled."),
            ({"maintenance": "maintenance"}, "kvm2 is in maintenance. End that on its page first."),
            ({"driver": "lxc"}, "It has another hypervisor: LXC."),
            ({"transport": "unix", "address": ""}, "Nothing leads to it from other hosts."),
        ],
    )
    def test_hosts_that_no_guest_can_go_to_are_named(
        self, fields: dict[str, Any], words: str, kvm1: Host, kvm2: Host, operator: User
    ) -> None:
        Host.objects.filter(pk=kvm2.pk).update(**fields)
        guest(kvm1, "web1")
        plan = drain(kvm1, operator)
        assert to(plan) == {"web1": "save"}
        assert [one.reason.startswith(words) for one in plan.excluded] == [True]
        assert step(plan, "web1").why == "There is no other host for it."

    def test_more_guests_and_hosts_take_no_more_queries(self, kvm1: Host, kvm2: Host, operator: User) -> None:
        guest(kvm1, "first")
        drain(kvm1, operator)  # what the operator may do is read once, the first time
        before = queries_of(lambda: drain(kvm1, operator))
        for number in range(5):
            guest(kvm1, f"more{number}")
            HostFactory.create()
        assert queries_of(lambda: drain(kvm1, operator)) == before


class TestGuestsThatCannotMove:
    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"xml": xml(devices="<hostdev mode='subsystem' type='usb'><source><vendor id='0x1'/></source></hostdev>")},
             "of its host"),
            ({"xml": xml(devices="<interface type='network'><source network='dmz'/></interface>")},
             "kvm2 has no active network dmz."),
            ({"arch": "aarch64"}, "kvm2 is x86_64, and it needs aarch64."),
            ({"xml": xml(cpu="<cpu mode='host-passthrough'/>")}, "kvm2 has another CPU (Zen), and it sees"),
        ],
    )  # fmt: skip
    def test_say_why(self, fields: dict[str, Any], words: str, kvm1: Host, kvm2: Host, operator: User) -> None:
        networks = [{"name": "lan", "active": True}]
        Host.objects.filter(pk=kvm2.pk).update(networks=networks, arch="x86_64", cpu_model="Zen")
        Host.objects.filter(pk=kvm1.pk).update(cpu_model="Skylake")
        guest(kvm1, "web1", **fields)
        found = step(drain(kvm1, operator), "web1")
        assert (found.how, found.cannot_move) == (How.SAVE, True)
        assert words in found.why

    def test_one_with_snapshots_or_with_its_name_taken_stays(self, kvm1: Host, kvm2: Host, operator: User) -> None:
        guest(kvm2, "web1")
        guest(kvm1, "web1")
        guest(kvm1, "web2").snapshots.create(name="before")
        plan = drain(kvm1, operator)
        assert step(plan, "web1").why == "kvm2 has another guest named web1."
        assert step(plan, "web2").why == "It has snapshots, which cannot move along."

    @pytest.mark.parametrize(
        ("fallback", "state", "how"),
        [
            (Fallback.SAVE, "running", How.SAVE),
            (Fallback.SAVE, "paused", How.SAVE),
            (Fallback.SHUTDOWN, "running", How.SHUTDOWN),
            (Fallback.SHUTDOWN, "paused", How.LEAVE),
            (Fallback.LEAVE, "running", How.LEAVE),
            (Fallback.SAVE, "shut_off", How.LEAVE),
            (Fallback.SAVE, "pmsuspended", How.LEAVE),
        ],
    )
    def test_the_policy_decides(self, fallback: Fallback, state: str, how: How, kvm1: Host, operator: User) -> None:
        guest(kvm1, "web1", state=state)
        found = step(drain(kvm1, operator, fallback), "web1")
        assert (found.how, found.cannot_move) == (how, True)

    def test_a_paused_one_moves_only_where_it_could_come_back(self, kvm1: Host, kvm2: Host, operator: User) -> None:
        Host.objects.update(hypervisor_version="7.2.22")
        guest(kvm1, "git", state="paused")
        found = step(drain(kvm1, operator), "git")
        assert found.how == How.SAVE
        assert found.why.startswith("It is paused, and QEMU before 10.0 could not move it back from kvm2")
        Host.objects.update(hypervisor_version="10.0.2")
        assert step(drain(kvm1, operator), "git").how == How.MOVE_LIVE

    def test_a_transient_one_cannot_be_saved(self, kvm1: Host, operator: User) -> None:
        guest(kvm1, "web1", persistent=False)
        found = step(drain(kvm1, operator), "web1")
        assert found.how == How.LEAVE
        assert "It is transient" in found.why

    def test_the_strict_policy_does_not_begin(self, kvm1: Host, kvm2: Host, operator: User) -> None:
        guest(kvm1, "web1")
        assert not drain(kvm1, operator, strict=True).obstacles
        guest(kvm1, "web2", arch="aarch64")
        Host.objects.filter(pk=kvm2.pk).update(arch="x86_64")
        assert list(drain(kvm1, operator, strict=True).obstacles) == ["web2 cannot move."]
        assert not drain(kvm1, operator).obstacles

    def test_a_host_that_does_not_answer_cannot_be_drained(self, kvm1: Host, operator: User) -> None:
        Host.objects.filter(pk=kvm1.pk).update(state="unreachable")
        kvm1.refresh_from_db()
        assert list(drain(kvm1, operator).obstacles) == ["kvm1 does not answer."]


class TestWhatComesBack:
    @pytest.fixture
    def record(self, kvm1: Host) -> Drain:
        Host.objects.filter(pk=kvm1.pk).update(maintenance="maintenance", maintenance_since=timezone.now())
        kvm1.refresh_from_db()
        made: Drain = Drain.objects.create(host=kvm1, fallback="save")
        return made

    def away(self, record: Drain, guest: Domain, how: How, target: Host | None = None, **fields: Any) -> DrainedGuest:
        row: DrainedGuest = record.guests.create(
            uuid=guest.pk, name=guest.name, how=how, target=target, target_name=target.name if target else "",
            **{"from_state": "running", "outcome": "done", "position": 0, **fields},
        )  # fmt: skip
        return row

    def plan(self, record: Drain, user: User) -> Plan:
        return plan_return(record, user)[0]

    def test_what_was_moved_saved_and_shut_down(self, record: Drain, kvm1: Host, kvm2: Host, operator: User) -> None:
        self.away(record, guest(kvm2, "moved"), How.MOVE_LIVE, kvm2)
        self.away(record, guest(kvm2, "off", state="shut_off"), How.MOVE_OFF, kvm2, from_state="shut_off")
        self.away(record, guest(kvm1, "saved", state="shut_off", has_managed_save=True), How.SAVE)
        self.away(record, guest(kvm1, "stopped", state="shut_off"), How.SHUTDOWN)
        self.away(record, guest(kvm1, "stayed"), How.LEAVE, outcome="left")
        assert {step.guest.name: step.how for step in self.plan(record, operator).steps} == {
            "moved": How.MOVE_LIVE,
            "off": How.MOVE_OFF,
            "saved": How.RESTORE,
            "stopped": How.START,
        }

    def test_a_fresh_check_that_found_the_host_in_maintenance_is_in_no_ones_way(
        self, record: Drain, kvm1: Host, kvm2: Host, operator: User
    ) -> None:
        web1 = guest(kvm2, "web1")
        self.away(record, web1, How.MOVE_LIVE, kvm2)
        lines = [{"subject": "Host", "level": "failed", "words": "kvm1 is in maintenance.", "remedy": ""}]
        JobFactory.create(
            kind="domain.migrate_check", domain=web1, state="succeeded",
            exclusive=False, parameters={"source": kvm2.pk}, finished_at=timezone.now(),
            result={"targets": {str(kvm1.pk): {"verdict": "failed", "lines": lines, "disks": []}}},
        )  # fmt: skip
        assert step(self.plan(record, operator), "web1").how == How.MOVE_LIVE

    def test_what_changed_meanwhile_is_named_and_left_alone(
        self, record: Drain, kvm1: Host, kvm2: Host, operator: User
    ) -> None:
        kvm3 = HostFactory.create(name="kvm3")
        self.away(record, guest(kvm3, "by-hand"), How.MOVE_LIVE, kvm2)
        self.away(record, guest(kvm1, "home"), How.MOVE_LIVE, kvm2)
        self.away(record, guest(kvm2, "ended", state="shut_off"), How.MOVE_LIVE, kvm2)
        self.away(record, guest(kvm1, "runs"), How.SAVE)
        self.away(record, guest(kvm1, "discarded", state="shut_off"), How.SAVE)
        self.away(record, guest(kvm2, "gone", gone_at=timezone.now()), How.MOVE_LIVE, kvm2)
        plan, gone = plan_return(record, operator)
        assert {step.guest.name: step.why for step in plan.steps} == {
            "by-hand": "It is on kvm3 now, and was moved to kvm2.",
            "home": "It is on kvm1 again already.",
            "ended": "It ran when the host was drained, and is off now.",
            "runs": "It is running already.",
            "discarded": "Its saved memory is not there any more.",
        }
        assert {step.how for step in plan.steps} == {How.LEAVE}
        assert [row.name for row in gone] == ["gone"]

    def test_what_an_earlier_return_brought_back_is_not_brought_again(
        self, record: Drain, kvm2: Host, operator: User
    ) -> None:
        web1 = guest(kvm2, "web1")
        self.away(record, web1, How.MOVE_LIVE, kvm2)
        self.away(record, web1, How.MOVE_LIVE, kvm2, returning=True)
        assert self.plan(record, operator).steps == []

    def test_draining_again_leaves_what_it_stopped_before(self, record: Drain, kvm1: Host, operator: User) -> None:
        self.away(record, guest(kvm1, "saved", state="shut_off", has_managed_save=True), How.SAVE)
        guest(kvm1, "late")
        assert to(drain(kvm1, operator)) == {"late": "save"}

    def test_what_came_about_after_all_comes_back_too(
        self, record: Drain, kvm1: Host, kvm2: Host, operator: User
    ) -> None:
        self.away(record, guest(kvm2, "again"), How.MOVE_LIVE, kvm2, outcome="failed")
        self.away(record, guest(kvm1, "stayed"), How.MOVE_LIVE, kvm2, outcome="failed")
        self.away(record, guest(kvm1, "slow", state="shut_off"), How.SHUTDOWN, outcome="failed")
        self.away(record, guest(kvm1, "runs"), How.SHUTDOWN, outcome="failed")
        assert {step.guest.name: step.how for step in self.plan(record, operator).steps} == {
            "again": How.MOVE_LIVE,
            "slow": How.START,
        }
        assert set(to(drain(kvm1, operator))) == {"stayed", "runs"}

    def test_the_mark_tells_plans_apart(self, kvm1: Host, kvm2: Host, operator: User) -> None:
        web1 = guest(kvm1, "web1", uuid=uuid.uuid4())
        mark = drain(kvm1, operator).mark
        assert drain(kvm1, operator).mark == mark
        Domain.objects.filter(pk=web1.pk).update(state="shut_off")
        assert drain(kvm1, operator).mark != mark

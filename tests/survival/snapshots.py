"""Taking snapshots, going back to them, merging them."""

from __future__ import annotations

from domains.snapshots import services
from domains.snapshots.models import Snapshot, SnapshotKind
from tests.survival.deed import GuestDeed
from tests.survival.picture import IMAGES, Picture
from tests.survival.stage import MIB, Actor
from vmdash.jobs.models import Job


class Take(GuestDeed):
    kind: SnapshotKind

    def ask(self, now: Picture) -> Job:
        return services.take(domain=self.stage.domain(self.own), user=self.stage.user, kind=self.kind)

    def done(self, before: Picture, job: Job) -> Picture:
        given = job.parameters
        overlays = [path for path in given["disks"].values() if path]
        made = [self.file(path) for path in [*overlays, given["memory_file"]] if path]
        own = before.of(self.own)
        return own.changed(
            snapshots={self.at_home: (given["name"],)},
            disks={self.at_home: tuple(overlays) * 2 or own.disks[self.at_home]},
            add=made,
        )


class TakeDisks(Take):
    name = "snapshot of disks"
    actor = Actor("posing", "kvm1", disks=2, state="running")
    kind = SnapshotKind.DISKS


class TakeFiles(Take):
    name = "snapshot with memory in files"
    actor = Actor("sitting", "kvm2", state="running")
    kind = SnapshotKind.FILES


class TakeInternal(Take):
    name = "snapshot inside of the images"
    actor = Actor("inward", "kvm2", state="running")
    kind = SnapshotKind.INTERNAL


class _Existing(GuestDeed):
    """About the one that the guest has."""

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot.objects.get(domain=self.stage.domain(self.own))

    @property
    def overlay(self) -> str:
        return f"{self.own}-then-vda.qcow2"


class _Revert(_Existing):
    may_be_unclear = True

    def ask(self, now: Picture) -> Job:
        return services.revert(
            domain=self.stage.domain(self.own), snapshot=self.snapshot, user=self.stage.user, confirm=self.own
        )


class RevertExternal(_Revert):
    name = "revert to files"
    actor = Actor("returner", "kvm1", state="running", snapshot={"write_mib": 8})

    def done(self, before: Picture, job: Job) -> Picture:
        (fresh,) = job.parameters["overlays"].values()
        # It was taken while the guest was off, and so it is afterwards.
        return before.of(self.own).changed(
            guests={self.own: {self.home: "shut off"}},
            disks={self.at_home: (fresh, fresh)},
            add=[self.file(fresh)],
            remove=[self.file(self.overlay)],
        )


class RevertInternal(_Revert):
    name = "revert inside of the images"
    actor = Actor("repenter", "kvm2", state="running", snapshot={"internal": True})

    def done(self, before: Picture, job: Job) -> Picture:
        return before.of(self.own)


class Merge(_Existing):
    name = "delete a snapshot with a merge"
    actor = Actor("merger", "kvm3", state="running", snapshot={"write_mib": 16})

    def ask(self, now: Picture) -> Job:
        return services.delete(
            domain=self.stage.domain(self.own),
            snapshot=self.snapshot,
            user=self.stage.user,
            most_bytes_per_s=8 * MIB,
        )

    def done(self, before: Picture, job: Job) -> Picture:
        return before.of(self.own).changed(
            snapshots={self.at_home: ()},
            disks={self.at_home: self.paths(self.actor.file())},
            remove=[self.file(self.overlay)],
        )

    def check(self, job: Job, now: Picture, *, came_about: bool) -> None:
        top = now.disks[self.at_home][0]
        read = f"read -q -P 7 0 {self.actor.snapshot['write_mib']}M"
        said = self.stage.hosts[self.home].run(["qemu-io", "-r", "-U", "-f", "qcow2", "-c", read, top])
        assert "failed" not in said, "what the guest wrote is lost"


class Flatten(GuestDeed):
    name = "flatten a disk"
    actor = Actor("flatter", "kvm1", mib=16, state="running", layered=True)

    def ask(self, now: Picture) -> Job:
        return services.flatten(domain=self.stage.domain(self.own), user=self.stage.user, most_bytes_per_s=8 * MIB)

    def done(self, before: Picture, job: Job) -> Picture:
        return before.of(self.own)

    def check(self, job: Job, now: Picture, *, came_about: bool) -> None:
        host = self.stage.hosts[self.home]
        disk, below = now.disks[self.at_home][0], f"{IMAGES}/{self.own}-below.qcow2"
        host.virsh("destroy", self.own)  # it may not have written all of the image's tables before
        assert "identical" in host.run(["qemu-img", "compare", disk, below]), "the disk has another content"
        information = host.run(["qemu-img", "info", disk])
        assert ("backing file" in information) is not came_about, information

    def is_ready(self, now: Picture) -> bool:
        return False  # one that is flattened looks like any other

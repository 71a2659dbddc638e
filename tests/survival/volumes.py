"""Making, changing and filling volumes."""

from __future__ import annotations

from storage import images, volume_services
from storage.models import Image, ImageCopy
from tests.survival.deed import Deed
from tests.survival.picture import Picture
from tests.survival.stage import MIB
from vmdash.jobs.models import Job


class VolumeDeed(Deed):
    """With a volume of its own, `OWN.qcow2`, from the beginning."""

    home: str
    mib = 48

    @property
    def volume(self) -> str:
        return f"{self.own}.qcow2"

    def file(self, name: str, host: str = "") -> str:
        return f"{host or self.home}/images/{name}"

    def is_ready(self, now: Picture) -> bool:
        return now.of(self.own).files == {self.file(self.volume)}

    def make_ready(self) -> None:
        self.stage.put(self.home, self.volume, self.mib)


class Create(VolumeDeed):
    name, own, home = "new volume", "newborn", "kvm1"

    def ask(self, now: Picture) -> Job:
        return volume_services.create(
            pool=self.stage.pool(self.home),
            name=f"{self.own}.img",
            capacity_bytes=256 * MIB,
            format="raw",
            preallocated=True,
            user=self.stage.user,
        )

    def done(self, before: Picture, job: Job) -> Picture:
        return before.of(self.own).changed(add=[self.file(f"{self.own}.img")])


class CloneVolume(VolumeDeed):
    name, own, home = "clone of a volume", "doubled", "kvm2"
    ending = "qcow2"

    def ask(self, now: Picture) -> Job:
        return volume_services.clone(
            source=self.stage.volume(self.home, self.volume),
            pool=self.stage.pool(self.home),
            name=f"{self.own}-copy.{self.ending}",
            format=self.ending,
            user=self.stage.user,
        )

    def done(self, before: Picture, job: Job) -> Picture:
        return before.of(self.own).changed(add=[self.file(f"{self.own}-copy.{self.ending}")])

    def check(self, job: Job, now: Picture, *, came_about: bool) -> None:
        if came_about:
            copy = self.file(f"{self.own}-copy.{self.ending}")
            assert self.stage.same_content(self.file(self.volume), copy), "the copy is not whole"


class Convert(CloneVolume):
    name, own, home = "conversion of a volume", "converted", "kvm1"
    ending = "raw"


class Resize(VolumeDeed):
    name, own, home = "resize of a volume", "grown", "kvm1"
    cancellable = False

    def ask(self, now: Picture) -> Job:
        self._before = self.stage.capacity_bytes(self.home, self.volume)
        return volume_services.resize(
            volume=self.stage.volume(self.home, self.volume),
            capacity_bytes=self._before + 64 * MIB,
            user=self.stage.user,
        )

    def done(self, before: Picture, job: Job) -> Picture:
        return before.of(self.own)

    def check(self, job: Job, now: Picture, *, came_about: bool) -> None:
        wanted = job.parameters["capacity_bytes"] if came_about else self._before
        assert self.stage.capacity_bytes(self.home, self.volume) == wanted


class Wipe(VolumeDeed):
    name, own, home = "wipe of a volume", "wiped", "kvm2"
    cancellable = False
    may_be_unclear = True
    mib = 64

    def ask(self, now: Picture) -> Job:
        return volume_services.wipe(
            volume=self.stage.volume(self.home, self.volume), confirm=self.volume, user=self.stage.user
        )

    def done(self, before: Picture, job: Job) -> Picture:
        return before.of(self.own)

    def check(self, job: Job, now: Picture, *, came_about: bool) -> None:
        if came_about:
            assert not any(self.stage.path(self.file(self.volume)).read_bytes()), "not all of it is overwritten"

    def is_ready(self, now: Picture) -> bool:
        return False  # a wiped one looks like any other


class Delete(VolumeDeed):
    name, own, home = "deletion of a volume", "doomed", "kvm3"
    cancellable = False

    def ask(self, now: Picture) -> Job:
        return volume_services.delete(
            volume=self.stage.volume(self.home, self.volume), confirm=self.volume, user=self.stage.user
        )

    def done(self, before: Picture, job: Job) -> Picture:
        return before.of(self.own).changed(remove=[self.file(self.volume)])


class CopyImage(VolumeDeed):
    name, own, home = "copy of an image to another host", "picture", "kvm1"
    there = "kvm2"

    def ask(self, now: Picture) -> Job:
        Image.objects.filter(name=self.own).delete()
        image = Image.objects.create(name=self.own, kind="disk", format="qcow2", size_bytes=self.mib * MIB)
        ImageCopy.objects.create(image=image, pool=self.stage.pool(self.home), volume_name=self.volume)
        return images.copy_to(image=image, pool=self.stage.pool(self.there), user=self.stage.user)

    def done(self, before: Picture, job: Job) -> Picture:
        return before.of(self.own).changed(add=[self.file(self.volume, self.there)])

    def check(self, job: Job, now: Picture, *, came_about: bool) -> None:
        copy = ImageCopy.objects.filter(pool__host__name=self.there, volume_name=self.volume).first()
        # A job that went on after it had compared them does not know it any more.
        expected = ("good", "unchecked") if came_about else (None,)
        assert (copy.state if copy else None) in expected, f"the library says {copy and copy.state}"
        if came_about:
            here, there = (self.stage.path(self.file(self.volume, host)) for host in (self.home, self.there))
            assert here.read_bytes() == there.read_bytes(), "the copy is not whole"

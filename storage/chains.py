"""Backing chains over the fleet: which image lies on which other, and which guests use them.

Known from the volumes that the survey read, and from the chains of guests that run, whose images may lie outside of any
pool. An image on shared storage is one image, however many hosts see it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db.models import Q

from storage.models import Pool, Volume
from storage.places import Place, Places
from storage.uses import DiskUse, disk_uses

if TYPE_CHECKING:
    from vmdash.access.models import User

_NAMED = 3
"""How many are named before "and 5 others"."""


@dataclass(eq=False, slots=True)
class Image:
    """One image, with what lies on it and who uses it."""

    place: Place
    path: str
    """As one of the hosts sees it."""
    volumes: list[Volume] = field(default_factory=list)
    """The rows that show it, one per pool; none for an image outside of every pool."""
    base: Image | None = None
    overlays: list[Image] = field(default_factory=list)
    users: list[DiskUse] = field(default_factory=list)
    """Guests that have this very image as a disk."""

    @property
    def name(self) -> str:
        return posixpath.basename(self.path) or self.path

    @property
    def depth(self) -> int:
        """How many images lie below it."""
        return sum(1 for _ in self.below())

    def below(self) -> Iterator[Image]:
        """Its base, that one's base, and so on."""
        seen, image = {self.place}, self.base
        while image is not None and image.place not in seen:
            yield image
            seen.add(image.place)
            image = image.base

    def above(self) -> Iterator[Image]:
        """Every image that lies on it, however far."""
        seen, waiting = {self.place}, [self]
        while waiting:
            for overlay in waiting.pop().overlays:
                if overlay.place not in seen:
                    seen.add(overlay.place)
                    waiting.append(overlay)
                    yield overlay


class Chains:
    """The images of some hosts (None: of all) that are in a chain or in use. A fixed number of queries."""

    def __init__(self, host_ids: Collection[int] | None = None, user: User | None = None) -> None:
        self._places = Places(host_ids)
        self._images: dict[Place, Image] = {}
        volumes = Volume.objects.all() if user is None else Volume.objects.visible_to(user)
        if host_ids is not None:
            volumes = volumes.filter(pool__host__in=host_ids)
        self._add_overlays(volumes.exclude(backing_path="").select_related("pool__host", "pool__storage"))
        for use in disk_uses(host_ids=host_ids, user=user):
            image = self._image(use.host_id, use.source)
            image.users.append(use)
            for path in use.backing:
                below = self._image(use.host_id, path)
                _lay(image, below)
                image = below
        self._volumes = volumes

    def _add_overlays(self, volumes: Iterable[Volume]) -> None:
        for volume in volumes:
            image = self._image(volume.pool.host_id, volume.path)
            image.volumes.append(volume)
            path = volume.backing_path
            if not path.startswith("/") and "://" not in path and not path.startswith("json:"):
                path = posixpath.join(posixpath.dirname(volume.path), path)
            _lay(image, self._image(volume.pool.host_id, path))

    def _image(self, host_id: int, source: str) -> Image:
        place = self._places.of(host_id, source)
        return self._images.setdefault(place, Image(place, source))

    def images(self) -> Iterable[Image]:
        """All of them, in no order."""
        return self._images.values()

    def find(self, volume: Volume) -> Image:
        """The image that a volume is; one that nothing lies on and nobody uses, when it is not known."""
        place = self._places.of(volume.pool.host_id, volume.path)
        return self._images.get(place) or Image(place, volume.path, [volume])

    def trees(self) -> list[Image]:
        """The images at the bottom that others lie on, by name. Their volumes' rows are filled in: one query."""
        bottoms = [image for image in self._images.values() if image.base is None and image.overlays]
        names = {image.name for image in bottoms}
        missing = {image.place: image for image in bottoms}
        rows = self._volumes.filter(backing_path="", name__in=names).select_related("pool__host", "pool__storage")
        for volume in rows:
            if image := missing.get(self._places.of(volume.pool.host_id, volume.path)):
                image.volumes.append(volume)
        return sorted(bottoms, key=lambda image: (image.name, image.path))


def _lay(image: Image, base: Image) -> None:
    """What was told first counts: several hosts tell the same of an image they share."""
    if image.base is None and base is not image and image not in base.below():
        image.base = base
        base.overlays.append(image)


def hosts_that_see(pool: Pool) -> set[int]:
    """The hosts whose guests and volumes may lie on images of this pool."""
    about = Q(pk=pool.pk) | Q(storage=pool.storage_id) if pool.storage_id else Q(pk=pool.pk)
    return set(Pool.objects.filter(about).values_list("host", flat=True))


def image_of(volume: Volume) -> Image:
    """The volume as an image, with what lies on it on all hosts that see it. Needs `volume.pool`."""
    return Chains(hosts_that_see(volume.pool)).find(volume)


def overlays_of(volume: Volume) -> list[Image]:
    """The images that lie directly on this one."""
    return image_of(volume).overlays


def users_of(volume: Volume) -> list[DiskUse]:
    """The guests that have this very volume as a disk, running or not."""
    return image_of(volume).users


def obstacle_to_delete(volume: Volume, user: User | None = None) -> str:
    """Why the volume must stay, in a sentence; empty when nothing is in the way. Every guest counts; with `user`, those
    that they may not see are not named."""
    image = image_of(volume)
    return _as_base(volume, image) or _as_disk(image.users, "Detach it, or undefine the guest first.", user)


def obstacle_to_write(volume: Volume, user: User | None = None) -> str:
    """Why its content must not be changed from outside (written, wiped, resized); empty when nothing is in the way.
    `user` as above."""
    image = image_of(volume)
    running = [use for use in image.users if use.active]
    return _as_base(volume, image) or _as_disk(running, "Shut the guest down first.", user)


def _as_base(volume: Volume, image: Image) -> str:
    if not image.overlays:
        return ""
    words = _listed([overlay.name for overlay in sorted(image.overlays, key=lambda one: one.name)])
    return f"{volume.name} is the base of {words}: what they hold would be lost with it."


def _as_disk(uses: list[DiskUse], remedy: str, user: User | None) -> str:
    if not uses:
        return ""
    seen = {use.guest for use in disk_uses(host_ids={use.host_id for use in uses}, user=user)}
    words = [use.words for use in uses if use.guest in seen]
    if len(words) < len(uses):
        words.append("a disk of a guest that you may not see")
    return f"It is {_listed(words)}. {remedy}"


def _listed(names: list[str]) -> str:
    """ "a", "a and b", "a, b and c", "a, b, c and 4 others" """
    if len(names) > _NAMED:
        more = len(names) - _NAMED
        names = [*names[:_NAMED], f"{more} other{'' if more == 1 else 's'}"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

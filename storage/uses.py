"""Which guests use which images. This app knows nothing of guests: those that do register a finder."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from vmdash.access.models import User


@dataclass(frozen=True, slots=True)
class DiskUse:
    """That a guest has an image as a disk."""

    guest: str
    """Its UUID."""
    name: str
    host_id: int
    host_name: str
    active: bool
    state: str
    """In words."""
    target: str
    """The disk as the guest sees it: vda."""
    source: str
    """A path, or `POOL/VOLUME`."""
    readonly: bool
    backing: tuple[str, ...] = ()
    """Paths of the images behind it, nearest first; known while the guest is active."""

    @property
    def words(self) -> str:
        """ "disk vda of web1 on kvm1" """
        return f"disk {self.target} of {self.name} on {self.host_name}"


class UseFinder(Protocol):
    def __call__(self, *, host_ids: Collection[int] | None, user: User | None) -> Iterable[DiskUse]:
        """The uses on these hosts (None: on all), as far as `user` may know of them (None: all of them)."""


_finders: list[UseFinder] = []


def register(finder: UseFinder) -> None:
    _finders.append(finder)


def disk_uses(*, host_ids: Collection[int] | None = None, user: User | None = None) -> list[DiskUse]:
    """What guests have as disks. `user` None is for decisions; for what a person is shown, name the person."""
    return [use for finder in _finders for use in finder(host_ids=host_ids, user=user)]

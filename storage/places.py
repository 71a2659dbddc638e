"""Where an image lies: the same image on shared storage has one place, whichever host looks at it."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from storage.models import Pool


@dataclass(frozen=True, slots=True)
class Place:
    """Equal for one image seen from several hosts. `path` is relative to the pool when `storage_id` is set."""

    path: str
    host_id: int | None = None
    storage_id: int | None = None


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    name: str
    host_id: int
    storage_id: int | None
    active: bool


class Places:
    """The pools of some hosts (None: of all), by which paths are understood. One query."""

    def __init__(self, host_ids: Collection[int] | None = None) -> None:
        pools = Pool.objects.all() if host_ids is None else Pool.objects.filter(host__in=host_ids)
        self._folders: dict[int, list[_Folder]] = defaultdict(list)
        columns = ("path", "name", "host_id", "storage_id", "state")
        for path, name, host_id, storage_id, state in pools.order_by("pk").values_list(*columns):
            folder = _Folder(path.rstrip("/"), name, host_id, storage_id, state == Pool.State.RUNNING)
            self._folders[host_id].append(folder)

    def of(self, host_id: int, source: str) -> Place:
        """The place of a path, or of `POOL/VOLUME`, on a host."""
        if not source.startswith("/"):
            return self._of_volume(host_id, source)
        path = _normal(source)
        if folder := self._folder(host_id, path):
            return Place(path[len(folder.path) + 1 :], storage_id=folder.storage_id)
        return Place(path, host_id=host_id)

    def _of_volume(self, host_id: int, source: str) -> Place:
        pool, slash, volume = source.partition("/")
        for folder in self._folders.get(host_id, ()):
            if slash and folder.name == pool and folder.path:
                return self.of(host_id, f"{folder.path}/{volume}")
        return Place(source, host_id=host_id)

    def _folder(self, host_id: int, path: str) -> _Folder | None:
        """The shared pool that a path lies in. Where pools lie in one another, the innermost tells."""
        around = [one for one in self._folders.get(host_id, ()) if one.path and path.startswith(one.path + "/")]
        innermost = max(around, key=lambda one: (len(one.path), one.storage_id is not None), default=None)
        return innermost if innermost and innermost.storage_id else None


@lru_cache(maxsize=4096)
def _normal(path: str) -> str:
    return posixpath.normpath(path)

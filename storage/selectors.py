"""What of the storage others want to know."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from hosts.models import Host
from storage.models import Pool, Storage


@dataclass(frozen=True, slots=True)
class SharedPath:
    """That an image is reached from two hosts. `path_there` may differ where the pools have other paths."""

    storage: Storage
    pool_here: Pool
    pool_there: Pool
    path_there: str

    @property
    def evidence(self) -> str:
        """How it is known: a `Storage.Evidence`."""
        return self.storage.evidence


def pool_at(path: str, host: Host) -> Pool | None:
    """The pool of the host that a path lies in: the innermost, when pools lie in one another.

    For volumes that are no files in the pool's folder (RBD, iSCSI) the path is looked up among the known volumes.
    """
    path = posixpath.normpath(path)
    pools = Pool.objects.filter(host=host).select_related("storage", "host")
    around = [pool for pool in pools if pool.path and path.startswith(pool.path.rstrip("/") + "/")]
    folders = [pool for pool in around if not pool.path.startswith("/dev")]
    if folders:
        return max(folders, key=lambda pool: (len(pool.path), pool.storage_id or 0))
    return pools.filter(volumes__path=path).first()


def is_shared(path: str, host_a: Host, host_b: Host) -> SharedPath | None:
    """Whether the image at `path` on `host_a` is reached from `host_b` too, and how; None when that is not known.

    A pool that is stopped over there does not count: start it first.
    """
    here = pool_at(path, host_a)
    if here is None or here.storage is None:
        return None
    there = Pool.objects.filter(host=host_b, storage=here.storage, state=Pool.State.RUNNING).first()
    if there is None:
        return None
    inside = here.path and path.startswith(here.path.rstrip("/") + "/")
    path_there = there.path.rstrip("/") + path[len(here.path.rstrip("/")) :] if inside else path
    return SharedPath(here.storage, here, there, path_there)

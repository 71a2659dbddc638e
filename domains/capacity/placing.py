"""Guests onto hosts, on paper: who has room in memory, among the hosts that could take a guest at all.

Largest first, each to the host with most memory left, as a drain does it; hosts that are crowded come after all others,
but are not left out. Where that leaves guests over, it is tried again without regard to who is crowded, and, if there
would be memory enough in all, with each guest going where it fits most tightly; the best counts. That is no proof: a
cleverer arrangement may exist.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from domains.capacity.needs import Need

Free = dict[int, int]
"""KiB that guests may still be given, by host."""
Heap = list[tuple[int, int]]
"""Hosts with what they have free, negative: most room first."""


@dataclass(frozen=True, slots=True)
class Packing:
    """Where guests go, and which find no room."""

    placed: list[tuple[Need, int]] = field(default_factory=list)
    unplaced: list[Need] = field(default_factory=list)


def pack(
    needs: Iterable[Need],
    free: Mapping[int, int],
    possible: Callable[[Need], Sequence[int]],
    vcpus: Mapping[int, float] | None = None,
) -> Packing:
    """`possible` gives the hosts that could take a guest, the same list object for guests of the same demands. `vcpus`
    is how many each host may get until it is crowded; one that is not in it never is."""
    largest_first = sorted(needs, key=lambda need: (-need.memory_kib, need.name))
    first = _most_room(largest_first, dict(free), possible, dict(vcpus or {}))
    if not any(possible(need) for need in first.unplaced):
        return first
    tries = [first]
    if vcpus:
        tries.append(_most_room(largest_first, dict(free), possible, {}))
    if _could_fit([need for need in largest_first if possible(need)], free, possible):
        tries.append(_tightest(largest_first, dict(free), possible))
    return min(tries, key=lambda packing: len(packing.unplaced))


def _most_room(
    needs: Sequence[Need], free: Free, possible: Callable[[Need], Sequence[int]], vcpus: dict[int, float]
) -> Packing:
    packing = Packing()
    heaps: dict[int, tuple[Heap, Heap]] = {}
    for need in needs:
        hosts = possible(need)
        both = heaps.get(id(hosts))
        if both is None:
            roomy = [(-free[host], host) for host in hosts if host in free]
            heapq.heapify(roomy)
            both = heaps[id(hosts)] = (roomy, [])
        heap, crowded = both
        # Room only becomes less, so an entry that is too large is put right when it comes to the top.
        while heap and (-heap[0][0] != free[heap[0][1]] or vcpus.get(heap[0][1], 1) <= 0):
            host = heapq.heappop(heap)[1]
            heapq.heappush(heap if vcpus.get(host, 1) > 0 else crowded, (-free[host], host))
        if not heap or -heap[0][0] < need.memory_kib:
            heap = crowded
            while heap and -heap[0][0] != free[heap[0][1]]:
                heapq.heapreplace(heap, (-free[heap[0][1]], heap[0][1]))
        if not heap or -heap[0][0] < need.memory_kib:
            packing.unplaced.append(need)
            continue
        host = heap[0][1]
        free[host] -= need.memory_kib
        if host in vcpus:
            vcpus[host] -= need.vcpus
        heapq.heapreplace(heap, (-free[host], host))
        packing.placed.append((need, host))
    return packing


def _tightest(needs: Sequence[Need], free: Free, possible: Callable[[Need], Sequence[int]]) -> Packing:
    packing = Packing()
    for need in needs:
        fitting = [host for host in possible(need) if free.get(host, -1) >= need.memory_kib]
        if not fitting:
            packing.unplaced.append(need)
            continue
        host = min(fitting, key=lambda one: (free[one], one))
        free[host] -= need.memory_kib
        packing.placed.append((need, host))
    return packing


def _could_fit(needs: Sequence[Need], free: Mapping[int, int], possible: Callable[[Need], Sequence[int]]) -> bool:
    """Whether there is memory enough for all in sum, which another try may find a way to use."""
    lists = {id(some): some for some in map(possible, needs)}
    hosts = {host for some in lists.values() for host in some}
    return sum(need.memory_kib for need in needs) <= sum(max(0, free.get(host, 0)) for host in hosts)

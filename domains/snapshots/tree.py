"""The order in which snapshots are read: each below its parent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from domains.snapshots.models import Snapshot


def in_order(snapshots: Iterable[Snapshot]) -> list[tuple[int, Snapshot]]:
    """Each with how deep it lies, children right after their parent, oldest first. Whose parent is not there is at the
    top, and so is who is its own ancestor, as a row that is out of date might say."""
    rows = list(snapshots)
    names = {row.name for row in rows}
    children: dict[str, list[Snapshot]] = defaultdict(list)
    for row in rows:
        children[row.parent_name if row.parent_name in names else ""].append(row)
    found: list[tuple[int, Snapshot]] = []
    seen: set[str] = set()
    for root in [*children[""], *rows]:
        waiting = [(0, root)]
        while waiting:
            depth, row = waiting.pop()
            if row.name in seen:
                continue
            seen.add(row.name)
            found.append((depth, row))
            waiting += [(depth + 1, child) for child in reversed(children[row.name])]
    return found


def descendants(snapshots: Iterable[Snapshot], of: Snapshot) -> list[Snapshot]:
    """All that came after it."""
    ordered = in_order(snapshots)
    start = next((index for index, (_, row) in enumerate(ordered) if row.name == of.name), len(ordered))
    found = []
    for depth, row in ordered[start + 1 :]:
        if depth <= ordered[start][0]:
            break
        found.append(row)
    return found

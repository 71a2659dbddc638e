"""What the list of pools tells of the forecasts that the capacity page has. Registered with `storage.forecasts`."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from domains.capacity.models import Outlook, Resource, Scope
from domains.capacity.sheet import sees_all
from domains.capacity.words import certainty, in_short
from storage.forecasts import Forecast
from storage.models import Pool

if TYPE_CHECKING:
    from vmdash.access.models import User


def pool_forecasts(user: User, pool_ids: Collection[int]) -> dict[int, Forecast]:
    """None for whoever does not see every guest, as on the capacity page. A fixed number of queries."""
    if not sees_all(user):
        return {}
    rows = Outlook.objects.visible_to(user).filter(scope=Scope.POOL, resource=Resource.STORAGE).defer("days")
    found = {row.key: row for row in rows}
    pools = Pool.objects.visible_to(user).filter(pk__in=pool_ids).order_by()
    return {
        pk: _forecast(found.get(str(pk)), is_counted, capacity_bytes)
        for pk, is_counted, capacity_bytes in pools.values_list("pk", "host__enabled", "capacity_bytes")
    }


def _forecast(outlook: Outlook | None, is_counted: bool, capacity_bytes: int) -> Forecast:
    if outlook is None and not is_counted:
        return Forecast("not known", "No forecast: its host is disabled and not counted.", None, False)
    if (outlook is None or not outlook.total) and not capacity_bytes:
        return Forecast("not known", "No forecast: its size is not known.", None, False)
    return Forecast(
        in_short(outlook),
        certainty(outlook),
        outlook.full_at if outlook else None,
        outlook.is_full if outlook else False,
    )

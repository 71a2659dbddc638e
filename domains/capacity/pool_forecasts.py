"""What the list of pools tells of the forecasts that the capacity page has. Registered with `storage.forecasts`."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from domains.capacity.models import Outlook, Resource, Scope
from domains.capacity.sheet import sees_all
from domains.capacity.words import certainty, in_short
from storage.forecasts import Forecast

if TYPE_CHECKING:
    from vmdash.access.models import User


def pool_forecasts(user: User, pool_ids: Collection[int]) -> dict[int, Forecast]:
    """None for whoever does not see every guest, as on the capacity page."""
    if not sees_all(user):
        return {}
    rows = Outlook.objects.visible_to(user).filter(scope=Scope.POOL, resource=Resource.STORAGE).defer("days")
    found = {row.key: row for row in rows}
    return {pk: _forecast(found.get(str(pk))) for pk in pool_ids}


def _forecast(outlook: Outlook | None) -> Forecast:
    return Forecast(
        in_short(outlook),
        certainty(outlook),
        outlook.full_at if outlook else None,
        outlook.is_full if outlook else False,
    )

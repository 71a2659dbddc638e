"""How far grants reach."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdash.access.reach import Place, Reach, Scope
from vmdash.access.table import ROLE_PERMISSIONS, Permission, Role

ZURICH, KVM1, PROD = (Scope.SITE, "1"), (Scope.HOST, "7"), (Scope.TAG, "3")
WEB1 = (Scope.GUEST, "6f3c1ab0-6b3f-4a3a-9d0e-0f5e6f1b2c3d")
EVERYTHING = (Scope.EVERYTHING, "")


def reach(*granted: tuple[Role, Place]) -> Reach:
    return Reach((role, *place) for role, place in granted)


def test_without_a_grant_there_is_nothing() -> None:
    assert not any(reach().anywhere(permission) for permission in Permission)
    assert not any(reach().covers(permission, [WEB1, KVM1]) for permission in Permission)


@pytest.mark.parametrize("place", [ZURICH, KVM1, PROD, WEB1])
def test_a_grant_reaches_what_is_in_its_place_and_nothing_else(place: Place) -> None:
    granted = reach((Role.HELP_DESK, place))
    assert granted.covers(Permission.POWER, [WEB1, PROD, KVM1, ZURICH])
    assert not granted.covers(Permission.FORCE, [WEB1, PROD, KVM1, ZURICH])
    assert not granted.covers(Permission.POWER, [one for one in (WEB1, PROD, KVM1, ZURICH) if one != place])
    assert granted.anywhere(Permission.POWER)
    assert Permission.POWER not in granted.everywhere


def test_a_grant_on_everything_reaches_what_is_in_no_place_at_all() -> None:
    assert reach((Role.VIEWER, EVERYTHING)).covers(Permission.VIEW, [])


def test_ids_are_no_names_for_one_another() -> None:
    """Host 7 and site 7 are different things."""
    assert not reach((Role.OPERATOR, (Scope.SITE, "7"))).covers(Permission.VIEW, [KVM1])


_places: st.SearchStrategy[Place] = st.sampled_from([EVERYTHING, ZURICH, KVM1, PROD, WEB1])
_granted = st.lists(st.tuples(st.sampled_from(Role), _places), max_size=6)


@given(_granted, st.sampled_from(Permission), st.sets(st.sampled_from([ZURICH, KVM1, PROD, WEB1])))
def test_grants_add_up_and_never_take_away(
    granted: list[tuple[Role, Place]], permission: Permission, places: Iterable[Place]
) -> None:
    """The whole allows just what one of its grants allows by itself."""
    alone = any(permission in ROLE_PERMISSIONS[role] and place in {EVERYTHING, *places} for role, place in granted)
    assert reach(*granted).covers(permission, places) == alone

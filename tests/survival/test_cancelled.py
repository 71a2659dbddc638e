"""Every sort of job is cancelled at ten moments: then it is undone, or it had come about already."""

from __future__ import annotations

import pytest

from tests.survival.rounds import Rounds

pytestmark = [pytest.mark.survival, pytest.mark.lab, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("number", range(10))
def test_all_that_can_be_cancelled_is(rounds: Rounds, number: int) -> None:
    rounds.cancelled()

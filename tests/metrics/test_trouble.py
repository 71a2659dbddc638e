"""That history waits on disk is said where people look first."""

from __future__ import annotations

import asyncio
import time

import pytest
from django.test import Client

from tests.factories import DomainFactory, HostFactory
from vmdash.live.redis import async_client
from vmdash.metrics.trouble import history_trouble, tell
from vmdash.metrics.writer import Held

pytestmark = pytest.mark.django_db


async def told(**collectors: Held) -> None:
    redis = async_client()
    for name, held in collectors.items():
        await tell(redis, name, held)
    await redis.aclose()


async def test_nothing_is_said_while_all_arrives() -> None:
    await told(one=Held(False, None, 0, 0))
    assert history_trouble() is None


async def test_what_collectors_hold_is_added_up_and_forgotten_when_it_is_sent() -> None:
    now = time.time()
    await told(one=Held(True, now - 100, 1000, 0), two=Held(False, now - 300, 500, 7))
    trouble = history_trouble()
    assert trouble is not None
    assert (trouble.away, trouble.size, trouble.dropped) == (True, 1500, 7)
    assert trouble.since.timestamp() == pytest.approx(now - 300)
    await told(one=Held(False, None, 0, 0), two=Held(False, None, 0, 0))
    assert history_trouble() is None


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (Held(True, time.time() - 600, 3 * 1024**2, 0), "The history store does not answer for"),
        (Held(False, time.time() - 600, 3 * 1024**2, 0), "is being sent to the history store: 3 MiB wait"),
        (Held(True, time.time() - 600, 3 * 1024**2, 1024**2), "No more fits: 1 MiB of the oldest are lost"),
    ],
)
def test_the_fleet_page_says_it(operator_client: Client, held: Held, words: str) -> None:
    HostFactory.create()
    asyncio.run(told(one=held))
    page = operator_client.get("/").content.decode()
    assert words in page
    assert "Nothing. Every host answers" not in page


def test_charts_say_that_they_are_not_all_there(victoria_metrics: str, viewer_client: Client) -> None:
    guest = DomainFactory.create()
    address = f"/domains/{guest.pk}/charts.json"
    assert viewer_client.get(address).json()["note"] == ""
    asyncio.run(told(one=Held(True, time.time() - 600, 1024, 5)))
    note = viewer_client.get(address).json()["note"]
    assert "is not all here yet: it waits on disk. Some of it is lost." in note

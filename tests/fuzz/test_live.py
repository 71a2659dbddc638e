"""The WebSocket of a page: whatever a browser sends is answered in words, and the connection goes on or is ended."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.hostile import attempts, seen, texts
from tests.live.test_consumer import UUID, page_of
from vmdash.access.models import User
from vmdash.live.consumers import ABUSE, MOST_REFUSALS

pytestmark = pytest.mark.django_db(transaction=True)

_json: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
_topics = st.builds(
    "{}{}".format, st.sampled_from(["host:", "guest:", f"sample:1:{UUID}", "fleet", "jobs", "", "sample:"]), texts
)
_watch = st.builds(
    lambda kind, topics: {"type": kind, "topics": topics},
    st.one_of(st.just("watch"), _json),
    st.one_of(st.lists(_topics, max_size=6), _json),
)
_messages = st.one_of(texts, st.one_of(_watch, _json).map(json.dumps))


@attempts(8)
@given(st.lists(_messages, min_size=1, max_size=MOST_REFUSALS - 1))
async def test_any_message(transactional_db: None, viewer: User, messages: list[str]) -> None:
    async with page_of(viewer) as page:
        before = await sync_to_async(seen)()
        for message in messages:
            await page.say(message)
        await page.watch("fleet")  # it is still there, and understands
        assert await sync_to_async(seen)() == before


@attempts(3)
@given(st.lists(st.binary(min_size=1, max_size=40), min_size=MOST_REFUSALS + 1, max_size=MOST_REFUSALS + 1))
async def test_who_sends_nonsense_without_end_is_hung_up_on(viewer: User, messages: list[bytes]) -> None:
    async with page_of(viewer) as page:
        for message in messages:
            await page.say_bytes(message)
        assert await page.close_code() == ABUSE

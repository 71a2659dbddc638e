"""The stream of changes for scripts: the messages of open pages, for whoever shows a token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from tests.api.caller import Caller
from tests.factories import DomainFactory, UserFactory
from tests.live.test_consumer import Page, cookie_of
from vmdash.access.models import AuditEntry, Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.access.sessions import people_of
from vmdash.api import tokens
from vmdash.api.models import Token, TokenScope
from vmdash.live import groups
from vmdash.live.consumers import NOT_PERMITTED, SIGNED_OUT
from vmdash.live.messages import GuestGone
from vmdash.live.publish import publish_now

pytestmark = pytest.mark.django_db(transaction=True)


@asynccontextmanager
async def stream(authorization: str) -> AsyncIterator[Page]:
    page = Page([(b"host", b"localhost"), (b"authorization", authorization.encode())], "/api/v1/stream")
    assert await page.connect()
    try:
        yield page
    finally:
        await page.leave()


async def bearer(user: User, scope: TokenScope = TokenScope.READ) -> str:
    return f"Bearer {(await sync_to_async(Caller)(user, scope)).text}"


async def test_a_script_hears_what_it_follows(viewer: User) -> None:
    async with stream(await bearer(viewer)) as script:
        await script.watch("fleet")
        await sync_to_async(publish_now)([groups.FLEET], {"type": "host_gone", "host": 7})
        assert (await script.next("host_gone"))["host"] == 7


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer vmdash_nonsense", "Basic dTpw"])
async def test_whoever_shows_no_token_is_sent_away(db: None, authorization: str) -> None:
    async with stream(authorization) as script:
        assert await script.close_code() == SIGNED_OUT


async def test_a_session_does_not_open_the_stream(viewer: User) -> None:
    page = Page([(b"host", b"localhost"), (b"cookie", await cookie_of(viewer))], "/api/v1/stream")
    assert await page.connect()
    assert await page.close_code() == SIGNED_OUT
    await page.leave()


async def test_it_ends_when_the_token_is_withdrawn(viewer: User) -> None:
    async with stream(await bearer(viewer)) as script:
        await script.next("hello")
        await Token.objects.all().adelete()
        assert await script.close_code() == SIGNED_OUT


async def test_it_ends_when_the_token_does(viewer: User) -> None:
    async with stream(await bearer(viewer)) as script:
        await script.next("hello")
        await Token.objects.aupdate(until=timezone.now() - timedelta(seconds=1))
        assert await script.close_code() == SIGNED_OUT


async def test_it_ends_when_the_right_is_withdrawn(viewer: User) -> None:
    async with stream(await bearer(viewer)) as script:
        await script.next("hello")
        await User.objects.aupdate(role="")
        assert await script.close_code() == NOT_PERMITTED


async def test_a_script_hears_nothing_of_what_its_person_may_not_see() -> None:
    person = await sync_to_async(UserFactory.create)(role="")
    theirs, others = await sync_to_async(DomainFactory.create_batch)(2)
    await Grant.objects.acreate(person=person, role=Role.VIEWER, scope=Scope.GUEST, scope_id=str(theirs.pk))
    async with stream(await bearer(person)) as script:
        await script.watch("fleet")
        for guest in (others, theirs):
            message: GuestGone = {"type": "guest_gone", "uuid": str(guest.pk), "host": guest.host_id}
            await sync_to_async(publish_now)([groups.FLEET], message)
        assert (await script.next("guest_gone"))["uuid"] == str(theirs.pk)


async def test_a_token_that_reads_follows_no_screens(operator: User) -> None:
    guest = await sync_to_async(DomainFactory.create)()
    async with stream(await bearer(operator, TokenScope.READ)) as script:
        await script.say({"type": "watch", "topics": [f"guest:{guest.pk}"]})
        assert "You may not" in (await script.next("error"))["message"]
    entry = await AuditEntry.objects.aget(action="live.refused")
    assert "with the token “read" in entry.detail


def test_the_digest_of_a_token_is_no_cookie(viewer: User) -> None:
    """Whoever reads the database cannot come in with what stands there."""
    made, _ = tokens.make(user=viewer, name="x", scope=TokenScope.READ, until=None)
    assert people_of([made.digest]) == {}

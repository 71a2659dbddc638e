"""No page links what its reader cannot open."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from tests.access.test_every_address import ADDRESSES
from tests.access.test_what_is_cut import client_for, granted
from tests.access.world import World
from vmdash.access.reach import Scope
from vmdash.access.roles import Role

pytestmark = pytest.mark.django_db

_LINK = re.compile(r'href="(/(?:hosts|domains|storage|people|jobs)/[^"?#]*)')


@pytest.fixture
def world() -> World:
    return World()


def test_with_a_guest_alone(world: World) -> None:
    """All pages of an operator of one guest, and where each of their links to things leads."""
    client = client_for(granted(Role.OPERATOR, Scope.GUEST, world.guest))
    world.alert.pool, world.alert.job = world.pool.name, world.job.pk
    world.alert.save()
    links: dict[str, str] = {}
    for address in ADDRESSES:
        page = reverse(address.name, kwargs=world.arguments(address.name, set(address.arguments)))
        answer = client.get(page)
        if answer.status_code == 200 and not answer.streaming and "html" in answer.headers["Content-Type"]:
            links |= dict.fromkeys(_LINK.findall(answer.content.decode()), page)
    assert reverse("guest", args=[world.guest.pk]) in links
    dead = {link: page for link, page in links.items() if client.get(link).status_code in (403, 404)}
    assert dead == {}


def test_the_rows_of_guests_say_which_hosts_are_hidden(world: World) -> None:
    rows = reverse("guest-rows")
    alone = client_for(granted(Role.VIEWER, Scope.GUEST, world.guest))
    assert alone.get(rows).json()["hidden_hosts"] == [world.host.pk]
    assert world.host.name in alone.get(reverse("guests")).content.decode()
    of_the_host = client_for(granted(Role.VIEWER, Scope.HOST, world.host))
    assert of_the_host.get(rows).json()["hidden_hosts"] == []
    assert f'href="{reverse("host", args=[world.host.name])}"' in of_the_host.get(reverse("guests")).content.decode()

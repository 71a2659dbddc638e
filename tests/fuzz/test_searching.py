"""The search language: whatever is written is searched for, or refused in words, with 400."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from domains.models import Domain
from domains.search_fields import FIELDS, FIGURES
from tests.access.test_what_is_cut import client_for, granted
from tests.access.world import World
from tests.fuzz.hostile import attempts, texts
from vmdash.access.reach import Scope
from vmdash.access.roles import Role

pytestmark = pytest.mark.django_db

_terms = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-", "--"]),
    st.sampled_from([*FIELDS, *FIGURES, "", "nothing"]),
    st.sampled_from([":", "=", "<", ">", ">=", "<=", "", "::"]),
    st.one_of(
        st.sampled_from(['"', '"a b"', "*", "**", "5", "-5", "4GiB", "yes", "running", "%", "10.0.0.0/8"]), texts
    ),
)
_searches = st.lists(_terms, min_size=1, max_size=6).map(" ".join)


@pytest.fixture
def client() -> Client:
    """Of somebody who sees one guest and its host, on which there is another."""
    world = World()
    Domain.objects.filter(pk=world.guest.pk).update(addresses=["10.0.0.7"], owner="Lena", note="100 %")
    return client_for(granted(Role.VIEWER, Scope.HOST, world.host))


@attempts(100)
@given(_searches)
def test_any_search(client: Client, text: str) -> None:
    answer = client.get(reverse("guest-rows"), {"q": text, "sort": "-steal"})
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        assert answer.json()["total"] <= 1
    elif answer.headers["Content-Type"] == "application/json":
        assert answer.json()["error"]

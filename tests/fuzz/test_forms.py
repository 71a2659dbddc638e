"""All forms, sent with what they do not expect; and all pages, asked with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import quote, urljoin, urlsplit

import lxml.html
import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from tests.access.test_every_address import ADDRESSES
from tests.access.world import World
from tests.fuzz.hostile import attempts, seen, texts
from vmdash.access.models import User

pytestmark = pytest.mark.django_db

CODE = Path(__file__).parents[2]
AWAY = 503
"""The history store is not there in these tests, nor is what receives uploads."""


@dataclass(frozen=True)
class Form:
    """What a page offers to send: where to, and what stands in it."""

    action: str
    fields: tuple[tuple[str, str], ...]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world: World) -> Client:
    person = world.person("administrator everywhere")
    assert isinstance(person, User)
    client = Client()
    client.force_login(person)
    return client


def pages(world: World) -> Iterator[str]:
    """All but the export of the trail, which nobody here would read, and signing out."""
    for address in ADDRESSES:
        if address.name not in {"audit-export", "sign-out", "account_logout"}:
            yield reverse(address.name, kwargs=world.arguments(address.name, set(address.arguments)))


def forms_of(client: Client, world: World) -> list[Form]:
    """Of all pages; and for each address that takes nothing but forms an empty one, if no page has one for it."""
    found: set[Form] = set()
    for page in pages(world):
        answer = client.get(page)
        if answer.status_code == 405:
            found.add(Form(page, ()))
        if answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html") and answer.content:
            document = lxml.html.document_fromstring(answer.content.decode())
            for form in cast("list[lxml.html.FormElement]", document.xpath("//form")):
                if form.method == "POST" and form.get("action") != reverse("sign-out"):
                    action = urlsplit(urljoin(page, form.get("action") or page))
                    fields = tuple((name, str(value)) for name, value in form.form_values() if name != TOKEN)
                    found.add(Form(action.path + (f"?{action.query}" if action.query else ""), fields))
    return sorted(found, key=lambda form: (form.action, form.fields))


TOKEN = "csrfmiddlewaretoken"


def names(kind: str) -> list[str]:
    """Of parameters that our code asks a request for, and of fields of its forms."""
    asked = re.compile(
        rf'request\.{kind}(?:\.get\w*\(|\[)"(\w+)"|^    (\w+) = (?:forms\.\w+Field|_\w+)\(', re.MULTILINE
    )
    sources = (path for app in ("vmdash", "hosts", "domains", "storage") for path in (CODE / app).rglob("*.py"))
    return sorted({name for path in sources for match in asked.findall(path.read_text()) for name in match if name})


def test_what_is_posted_is_taken_or_refused_and_what_is_refused_changes_nothing(world: World, client: Client) -> None:
    forms, known = forms_of(client, world), names("POST")
    assert sum(bool(form.fields) for form in forms) >= 25
    before, session = seen(), client.cookies["sessionid"].value
    statuses: set[int] = set()

    @attempts(250)
    @given(st.data())
    def attack(data: st.DataObject) -> None:
        form = data.draw(st.sampled_from(forms))
        values = dict(form.fields)
        for name in data.draw(st.lists(st.sampled_from([*values, *known]), min_size=1, max_size=4)):
            values[name] = data.draw(texts)
        if data.draw(st.booleans()) and form.fields:
            del values[data.draw(st.sampled_from([name for name, _ in form.fields]))]
        client.cookies["sessionid"] = session  # some forms end it, or begin another
        with transaction.atomic():
            answer = client.post(form.action, values)
            statuses.add(answer.status_code)
            assert answer.status_code < 500 or answer.status_code == AWAY, form
            if answer.status_code >= 400:
                assert seen() == before
            transaction.set_rollback(True)

    attack()
    assert {302, 400, 409} <= statuses
    assert client.get(reverse("people")).status_code == 200  # it was somebody who may all the time


def test_what_is_asked_for_is_answered_or_refused(world: World, client: Client) -> None:
    addresses, known = list(pages(world)), names("GET")
    before = seen()

    @attempts(120)
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        page = data.draw(st.sampled_from(addresses))
        asked = data.draw(st.dictionaries(st.sampled_from(known), texts, min_size=1, max_size=4))
        answer = client.get(page, asked)
        assert answer.status_code < 500 or answer.status_code == AWAY

    ask()
    assert seen() == before


@attempts(25)
@given(st.lists(texts, min_size=1, max_size=3))
def test_an_address_that_nobody_made_leads_nowhere(client: Client, parts: list[str]) -> None:
    for begin in ("/", "/domains/", "/hosts/", "/storage/", "/people/", "/new-password/"):
        assert client.get(begin + "/".join(quote(part, safe="") for part in parts)).status_code < 500

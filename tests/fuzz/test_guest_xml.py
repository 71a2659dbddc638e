"""What a host says of a guest is as good as the host: its XML may be anything, and pages tell so in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from domains.models import Domain
from tests.access.test_what_is_cut import client_for, granted
from tests.factories import DomainFactory
from tests.fuzz.hostile import attempts, texts
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.exceptions import VmdashError
from vmdash.virt.xml.domain import DomainDefinition

pytestmark = pytest.mark.django_db

XML = (Path(__file__).parents[1] / "virt/live-guest.xml").read_bytes()
PARTS = ("overview", "hardware", "disks", "snapshots", "xml")


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A real guest's, in which elements are gone, twice or elsewhere, and texts and attributes are others."""
    root = etree.fromstring(XML)
    for _ in range(draw(st.integers(1, 6))):
        nodes = [node for node in root.iter() if isinstance(node.tag, str) and node is not root]
        if not nodes:
            break
        node, value = draw(st.sampled_from(nodes)), draw(texts)
        parent = node.getparent()
        assert parent is not None
        try:
            match draw(st.sampled_from(["gone", "twice", "elsewhere", "text", "attribute", "bare"])):
                case "gone":
                    parent.remove(node)
                case "twice":
                    parent.append(etree.fromstring(etree.tostring(node)))
                case "elsewhere":
                    root.append(node)
                case "text":
                    node.text = value
                case "attribute" if node.attrib:
                    node.set(draw(st.sampled_from(sorted(node.attrib))), value)
                case "bare":
                    node.attrib.clear()
        except ValueError:
            continue  # a character that no XML may have
    return etree.tostring(root, encoding="unicode")


@attempts(150)
@given(st.one_of(documents(), texts))
def test_it_is_read_or_refused(text: str) -> None:
    try:
        definition = DomainDefinition.parse(text)
        for name in dir(definition):
            if not name.startswith("_"):
                getattr(definition, name)
    except VmdashError as error:
        assert error.message


@pytest.fixture
def guest() -> Domain:
    return DomainFactory.create()


@pytest.fixture
def client(guest: Domain) -> Client:
    return client_for(granted(Role.OPERATOR, Scope.HOST, guest.host))


@attempts(8)
@given(st.one_of(documents(), texts))
def test_pages_are_there_whatever_it_is(client: Client, guest: Domain, text: str) -> None:
    Domain.objects.filter(pk=guest.pk).update(xml=text.replace("\0", ""))
    for name in ("guest-tune", "guest-clone", "guest-place", "guest-definition"):
        assert client.get(reverse(name, args=[guest.pk])).status_code < 500, name
    for part in PARTS:
        assert client.get(reverse("guest", args=[guest.pk]) + f"{part}/").status_code < 500, part

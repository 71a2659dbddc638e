"""The pages about people whose accounts the company's directory or provider keeps."""

from __future__ import annotations

import html

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group
from django.test import Client
from pytest_django import Settings

from vmdash.access.models import User

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("provider", "keeper"), [("ldap", "directory"), ("oidc", "provider (single sign-on)")])
def test_who_comes_from_elsewhere_gets_no_password_here(
    administrator_client: Client, viewer: User, provider: str, keeper: str
) -> None:
    link = administrator_client.post(f"/people/{viewer.pk}/password/").context["link"]
    SocialAccount.objects.create(user=viewer, provider=provider, uid="viewer")
    page = administrator_client.get(f"/people/{viewer.pk}/")
    assert f"password is kept by the company's {keeper}" in html.unescape(page.content.decode())
    assert f"/people/{viewer.pk}/password/" not in page.content.decode()
    address = f"/people/{viewer.pk}/password/"
    assert "Not kept here" in administrator_client.get(address).content.decode()
    assert administrator_client.post(address).status_code == 409
    assert "works no more" in Client().get(link, follow=True).content.decode()


@pytest.mark.parametrize(
    ("provider", "ldap_groups", "ours"), [("oidc", "", False), ("ldap", "ou=groups", False), ("ldap", "", True)]
)
def test_whose_groups_come_from_elsewhere_is_put_in_and_taken_out_there(
    administrator_client: Client, viewer: User, settings: Settings, provider: str, ldap_groups: str, ours: bool
) -> None:
    settings.LDAP_GROUPS = ldap_groups
    SocialAccount.objects.create(user=viewer, provider=provider, uid="viewer")
    desk, leads = (Group.objects.create(name=name) for name in ("desk", "leads"))
    viewer.groups.add(desk)
    said = administrator_client.get(f"/people/groups/{desk.pk}/").content.decode()
    assert ("Take out" in said, "by the company" in said) == (ours, not ours)
    answers = [
        administrator_client.post(f"/people/groups/{leads.pk}/join/", {"person": "viewer"}),
        administrator_client.post(f"/people/groups/{desk.pk}/leave/", {"person": viewer.pk}),
    ]
    assert [answer.status_code for answer in answers] == ([302, 302] if ours else [409, 409])
    assert list(viewer.groups.all()) == ([leads] if ours else [desk])

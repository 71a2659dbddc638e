"""Who may see and do what on the pages about hosts: each address, as each kind of person."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from hosts.models import Credential, Host
from tests.factories import CredentialFactory, HostFactory
from vmdash.access.models import User

pytestmark = pytest.mark.django_db

READING = ["/hosts/", "/hosts/kvm1/"]
MANAGING = [
    "/hosts/add/",
    "/hosts/credentials/",
    "/hosts/credentials/1/",
    "/hosts/kvm1/edit/",
    "/hosts/kvm1/ksm/",
    "/hosts/kvm1/test/",
    "/hosts/kvm1/remove/",
]
POSTING = [
    "/hosts/add/",
    "/hosts/credentials/1/",
    "/hosts/credentials/1/remove/",
    "/hosts/kvm1/edit/",
    "/hosts/kvm1/ksm/",
    "/hosts/kvm1/test/",
    "/hosts/kvm1/trust/",
    "/hosts/kvm1/forget/",
    "/hosts/kvm1/enable/",
    "/hosts/kvm1/disable/",
    "/hosts/kvm1/remove/",
]


@pytest.fixture(autouse=True)
def host() -> Host:
    CredentialFactory.create(pk=1)
    return HostFactory.create(name="kvm1")


@pytest.mark.parametrize("path", READING + MANAGING)
def test_who_is_not_signed_in_is_asked_to(anonymous_client: Client, path: str) -> None:
    answer = anonymous_client.get(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in/")


@pytest.mark.parametrize("path", READING)
def test_who_has_no_role_sees_nothing(nobody_client: Client, path: str) -> None:
    assert nobody_client.get(path).status_code == 403


@pytest.mark.parametrize("path", READING)
def test_viewers_see_the_hosts_but_no_way_to_change_them(viewer_client: Client, path: str) -> None:
    answer = viewer_client.get(path)
    assert answer.status_code == 200
    content = answer.content.decode()
    assert "kvm1" in content
    assert "/hosts/add/" not in content
    assert "/hosts/kvm1/edit/" not in content


@pytest.mark.parametrize("path", MANAGING)
@pytest.mark.parametrize("person", ["viewer", "help_desk", "operator"])
def test_only_administrators_see_the_pages_that_change_hosts(
    path: str, person: str, client_of: Callable[[User], Client], request: pytest.FixtureRequest
) -> None:
    assert client_of(request.getfixturevalue(person)).get(path).status_code == 403


@pytest.mark.parametrize("path", MANAGING)
def test_administrators_see_them(administrator_client: Client, path: str) -> None:
    assert administrator_client.get(path).status_code == 200


@pytest.mark.parametrize("path", POSTING)
@pytest.mark.parametrize("person", ["viewer", "help_desk", "operator"])
def test_nobody_else_changes_anything(
    path: str, person: str, client_of: Callable[[User], Client], request: pytest.FixtureRequest, host: Host
) -> None:
    before = (list(Host.objects.values()), list(Credential.objects.values_list("pk", "name")))
    assert client_of(request.getfixturevalue(person)).post(path, {"name": "kvm1"}).status_code == 403
    assert (list(Host.objects.values()), list(Credential.objects.values_list("pk", "name"))) == before


@pytest.mark.parametrize("path", POSTING)
def test_a_form_of_another_site_changes_nothing(path: str, administrator: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(administrator)
    assert browser.post(path, {"name": "kvm1"}).status_code == 403


@pytest.mark.parametrize("path", ["enable", "disable", "trust", "forget"])
def test_changes_are_not_made_by_following_a_link(administrator_client: Client, path: str) -> None:
    assert administrator_client.get(f"/hosts/kvm1/{path}/").status_code == 405


@pytest.mark.parametrize("path", ["", "edit/", "test/", "remove/"])
def test_a_host_that_is_not_there_is_not_found(administrator_client: Client, path: str) -> None:
    assert administrator_client.get(f"/hosts/kvm7/{path}").status_code == 404

"""What stands around every page, and the pages for errors."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from tests.factories import HostFactory, JobFactory, SiteFactory
from vmdash.access.models import User


def test_the_navigation_counts_and_marks_where_one_is(viewer_client: Client) -> None:
    HostFactory.create(site=SiteFactory.create(name="Lyon"))
    page = viewer_client.get("/domains/").content.decode()
    assert re.search(r'href="/domains/" data-key="g"[^>]* aria-current="page"', page)
    assert 'href="/?site=Lyon"' in page


def test_the_jobs_pill_counts_what_the_person_may_see(operator_client: Client, viewer_client: Client) -> None:
    job = JobFactory.create()
    assert f'data-jobs="{job.pk}"' in operator_client.get("/domains/").content.decode()
    assert 'data-jobs=""' in viewer_client.get("/domains/").content.decode()


@pytest.mark.parametrize("address", ["/", "/domains/", "/sign-in/", "/nowhere/"])
def test_pages_bring_no_inline_script_or_style(viewer_client: Client, anonymous_client: Client, address: str) -> None:
    HostFactory.create()
    for client in (viewer_client, anonymous_client):
        response = client.get(address)
        page = response.content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", page)
        policy = response.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy


def test_a_page_that_is_not_there_says_so_in_the_frame(viewer_client: Client, anonymous_client: Client) -> None:
    response = viewer_client.get("/nowhere/")
    assert response.status_code == 404
    page = response.content.decode()
    assert "There is no such page" in page
    assert 'aria-label="Main"' in page
    stranger = anonymous_client.get("/nowhere/")
    assert stranger.status_code == 404
    assert 'aria-label="Main"' not in stranger.content.decode()


def test_whoever_has_no_role_is_told_whom_to_ask(nobody_client: Client) -> None:
    response = nobody_client.get("/")
    assert response.status_code == 403
    assert "until an administrator gives you a role" in response.content.decode()


def test_a_refusal_says_what_one_may_not(viewer_client: Client) -> None:
    response = viewer_client.get("/hosts/add/")
    assert response.status_code == 403
    assert "You may not add, change or remove hosts." in response.content.decode()


def test_a_forged_form_is_refused_in_words(viewer: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(viewer)
    response = client.post("/sign-out/")
    assert response.status_code == 403
    assert "Nothing was changed" in response.content.decode()


def test_a_request_for_another_host_name_is_not_answered(anonymous_client: Client) -> None:
    assert anonymous_client.get("/sign-in/", headers={"host": "evil.example"}).status_code == 400


def test_a_failure_has_a_page_that_needs_nothing(viewer_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("vmdash.main.views.fleet_of", fail)
    viewer_client.raise_request_exception = False
    response = viewer_client.get("/")
    assert response.status_code == 500
    assert "Something failed in vmdash" in response.content.decode()

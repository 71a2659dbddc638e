"""Control characters in addresses are nobody's names; PostgreSQL would refuse to look for some."""

from __future__ import annotations

import pytest
from django.test import Client

from vmdash.access.models import AuditEntry


@pytest.mark.parametrize(
    "address", ["/?site=%00", "/domains/?q=%00", "/hosts/?q=a%00", "/jobs/?%00=1", "/hosts/?q=%1b"]
)
def test_in_a_parameter_they_are_refused(viewer_client: Client, address: str) -> None:
    answer = viewer_client.get(address)
    assert answer.status_code == 400
    assert "control character" in answer.content.decode()


@pytest.mark.parametrize("address", ["/hosts/%00/", "/hosts/kvm%001/", "/%07"])
def test_in_a_path_they_lead_nowhere(viewer_client: Client, address: str) -> None:
    assert viewer_client.get(address).status_code == 404


def test_tabs_and_line_ends_are_people_s(viewer_client: Client) -> None:
    assert viewer_client.get("/domains/?q=web%09%0D%0A").status_code == 200


def test_in_a_form_they_are_a_mistake(anonymous_client: Client) -> None:
    answer = anonymous_client.post("/sign-in/", {"username": "a\0b", "password": "a\0b"})
    assert answer.status_code == 200
    assert AuditEntry.objects.get().target_name == "ab"

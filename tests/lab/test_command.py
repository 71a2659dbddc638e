"""`manage.py lab` on the command line."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
import yaml
from django.core.management import CommandError, call_command

from vmdash.lab.layout import Lab


@pytest.fixture
def lab_that_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("VMDASH_LAB_DIR", str(tmp_path / "lab"))
    monkeypatch.setenv("VMDASH_LAB_NET", "19")
    return Lab.from_environment()


@pytest.mark.lab
def test_status_of_a_fleet_that_is_down_fails_and_says_what_to_do(lab_that_is_down: Lab) -> None:
    with pytest.raises(CommandError) as failure:
        call_command("lab", "status", stdout=StringIO())

    assert [f"{name} does not answer." in str(failure.value) for name in ("kvm1", "kvm2", "kvm3")] == [True] * 3
    assert str(failure.value).endswith("Run: manage.py lab up")


@pytest.mark.lab
def test_the_inventory_has_what_each_transport_needs(lab_that_is_down: Lab) -> None:
    out = StringIO()

    call_command("lab", "inventory", stdout=out)

    kvm1, kvm2, kvm3 = yaml.safe_load(out.getvalue())
    assert kvm1["credential"]["username"] == "vmdash"
    assert kvm1["credential"]["password"]
    assert set(kvm2["credential"]) == {"name", "kind", "private_key", "certificate", "ca_certificate"}
    assert kvm3["known_host_key"].startswith("ssh-ed25519 ")
    assert "numa-simulated" in kvm3["tags"]


def test_taking_down_a_fleet_that_never_was_does_nothing(lab_that_is_down: Lab) -> None:
    call_command("lab", "down", "--delete")

    assert not lab_that_is_down.directory.exists()


def test_a_fleet_of_another_user_is_left_alone(lab_that_is_down: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab_that_is_down.directory.mkdir()
    monkeypatch.setattr("os.geteuid", lambda: 12345)

    with pytest.raises(CommandError, match="belongs to another user"):
        call_command("lab", "down")

"""The command line, against the API in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.wsgi import get_wsgi_application

from domains.models import Domain
from tests.api.caller import Caller
from tests.factories import DomainFactory, HostFactory
from vmdash.access.models import User
from vmdash.api.models import TokenScope
from vmdash.cli.__main__ import REFUSED, main
from vmdash.jobs.models import Job, JobLine

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_connection")]

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def access(calls: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An operator's token is in the environment; there is no file."""
    monkeypatch.setenv("VMDASH_CLI_URL", "http://testserver")
    monkeypatch.setenv("VMDASH_CLI_TOKEN", calls.text)
    monkeypatch.setenv("VMDASH_CLI_FILE", str(tmp_path / "cli.toml"))


def run(*arguments: str) -> int:
    return main(arguments, httpx.WSGITransport(app=get_wsgi_application()))


def test_guests_are_listed_as_a_table_and_as_json(guest: Domain, capsys: Captured) -> None:
    DomainFactory.create(name="db1", state="shut_off")
    assert run("guests", "state:running") == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["NAME", "STATE", "HOST"]
    assert line.split()[:2] == ["web1", "running"]
    assert run("guests", "--json") == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == ["db1", "web1"]


def test_long_lists_come_whole(capsys: Captured, monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    monkeypatch.setattr("vmdash.cli.client.PART", 2)
    for number in range(5):
        HostFactory.create(name=f"kvm{number}")
    run("hosts", "--json")
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == [f"kvm{number}" for number in range(5)]


def test_a_guest_is_started_by_its_name(capsys: Captured) -> None:
    guest = DomainFactory.create(name="db1", state="shut_off")
    DomainFactory.create(name="db10", state="shut_off")
    assert run("start", "db1") == 0
    job = Job.objects.get()
    assert (job.kind, job.target_id) == ("domain.start", str(guest.pk))
    assert str(job.pk) in capsys.readouterr().out


def test_nothing_is_done_when_one_of_several_is_not_there(guest: Domain, capsys: Captured) -> None:
    assert run("stop", "web1", "web2") == REFUSED
    assert "There is no guest web2." in capsys.readouterr().err
    assert not Job.objects.exists()


def test_of_two_with_one_name_one_is_named_by_its_uuid(guest: Domain, capsys: Captured) -> None:
    DomainFactory.create(name="web1")
    assert run("stop", "web1") == REFUSED
    assert str(guest.pk) in capsys.readouterr().err
    assert run("stop", str(guest.pk)) == 0


def test_cutting_the_power_needs_the_name(guest: Domain, capsys: Captured) -> None:
    assert run("stop", "web1", "--force") == REFUSED
    assert run("stop", "web1", "--force", "--confirm", "web2") == REFUSED
    assert run("stop", "web1", "--force", "--confirm", "web1") == 0
    assert Job.objects.get().kind == "domain.force_off"


def test_a_job_is_followed_to_its_end(guest: Domain, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def worker(_: float) -> None:
        job = Job.objects.get()
        JobLine.objects.create(job=job, text="The guest is asked to shut down")
        Job.objects.filter(pk=job.pk).update(state=next(states), error="It did not react.")

    states = iter(["running", "failed"])
    monkeypatch.setattr("vmdash.cli.commands.time.sleep", worker)
    assert run("stop", "web1", "--wait") == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "Shut down web1: waiting",
        "The guest is asked to shut down",
        "Shut down web1: running",
        "The guest is asked to shut down",
        "Shut down web1: failed",
    ]
    assert told.err.strip() == "It did not react."
    assert run("follow", str(Job.objects.get().pk), "--json") == 1
    assert json.loads(capsys.readouterr().out)["state"] == "failed"


def test_a_guest_is_moved(guest: Domain) -> None:
    HostFactory.create(name="kvm9", driver=guest.host.driver, migration_uri="qemu+tls://kvm9/system")
    assert run("migrate", "web1", "kvm9") == 0
    assert Job.objects.get().kind == "domain.migrate"
    assert run("migrate", "web1", "nowhere") == REFUSED


def test_the_address_of_a_console_is_told_or_why_there_is_none(capsys: Captured) -> None:
    guest = DomainFactory.create(name="web1", has_serial=True, graphics=[])
    assert run("console", "web1", "--serial") == 0
    assert capsys.readouterr().out.strip() == f"http://testserver/domains/{guest.pk}/serial/"
    assert run("console", "web1") == REFUSED
    assert "no VNC screen" in capsys.readouterr().err


def test_unfinished_jobs_are_listed(guest: Domain, capsys: Captured) -> None:
    run("stop", "web1")
    capsys.readouterr()
    assert run("jobs") == 0
    assert "Shut down web1" in capsys.readouterr().out


def test_what_is_refused_is_told_in_words(viewer: User, guest: Domain, monkeypatch: Any, capsys: Captured) -> None:
    monkeypatch.setenv("VMDASH_CLI_TOKEN", Caller(viewer, TokenScope.READ).text)
    assert run("stop", "web1") == REFUSED
    assert capsys.readouterr().err.endswith("This token may only read. Make one that may act.\n")
    monkeypatch.setenv("VMDASH_CLI_TOKEN", "vmdash_nonsense")
    assert run("hosts") == REFUSED


def test_the_token_may_stand_in_a_file_that_nobody_else_reads(
    calls: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    monkeypatch.delenv("VMDASH_CLI_URL")
    monkeypatch.delenv("VMDASH_CLI_TOKEN")
    assert run("hosts") == REFUSED
    assert "VMDASH_CLI_URL" in capsys.readouterr().err
    file = tmp_path / "cli.toml"
    file.write_text(f'url = "http://testserver/"\ntoken = "{calls.text}"\n')
    file.chmod(0o644)
    assert run("hosts") == REFUSED
    assert "chmod 600" in capsys.readouterr().err
    file.chmod(0o600)
    assert run("hosts") == 0


def test_names_do_nothing_to_the_terminal(capsys: Captured) -> None:
    DomainFactory.create(name="\x1b[31mred")
    run("guests")
    assert "\x1b" not in capsys.readouterr().out


def test_a_connection_that_breaks_is_tried_again_and_nothing_is_done_twice(guest: Domain) -> None:
    inner, calls = httpx.WSGITransport(app=get_wsgi_application()), []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        response = inner.handle_request(request)
        response.read()
        if request.method == "POST" and len(calls) < 3:
            raise httpx.ReadError("cut off")
        return response

    assert main(["stop", "web1"], httpx.MockTransport(answer)) == 0
    assert len(calls) == 3
    assert Job.objects.count() == 1

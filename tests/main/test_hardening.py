"""What every answer brings along, and what is refused before any page is asked."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import uuid
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core import mail
from django.core.mail import EmailMessage
from django.core.mail.message import BadHeaderError
from django.test import Client
from django.urls import get_resolver
from pytest_django import Settings

from tests.access.test_every_address import ADDRESSES
from tests.api.caller import Caller
from vmdash import log_lines
from vmdash.access.models import AuditEntry, User
from vmdash.asgi import application
from vmdash.limits import MOST_BODY_BYTES
from vmdash.main import middleware

ROOT = Path(__file__).parent.parent.parent

EVERY_ANSWER = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@pytest.mark.parametrize("address", ["/", "/sign-in/", "/nowhere/", "/hosts/add/", "/charts.json", "/metrics"])
def test_every_answer_says_what_browsers_may_do_with_it(viewer_client: Client, address: str) -> None:
    answer = viewer_client.get(address)
    assert {name: answer.headers[name] for name in EVERY_ANSWER} == EVERY_ANSWER
    policy = {rule.split()[0]: rule.split()[1:] for rule in answer.headers["Content-Security-Policy"].split("; ")}
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
    assert policy["script-src"] == policy["form-action"] == ["'self'"]


def test_no_view_loosens_the_policy_but_the_one_of_xterm() -> None:
    """Its styles alone: xterm.js writes its own."""
    loosened = {one.name for one in ADDRESSES if getattr(one.view, "__name__", "") == "serial_console"}
    sources = [*(ROOT / "vmdash").rglob("*.py"), *(ROOT / "domains").rglob("*.py"), *(ROOT / "hosts").rglob("*.py")]
    using = {
        str(file.relative_to(ROOT))
        for file in sources
        if re.search(r"@csp_|xframe_options_|csrf_exempt", file.read_text())
    }
    assert loosened == {"serial-console"}
    of_the_api = "vmdash/api/urls.py"  # cookies do not count there
    assert using == {"vmdash/alerts/views.py", "domains/consoles/views.py", of_the_api}
    exempt = [one.name for one in ADDRESSES if getattr(one.view, "csrf_exempt", False)]
    assert exempt == ["alerts-receive"], "which shows a token"
    assert get_resolver()


def test_templates_have_nothing_inline() -> None:
    for file in (ROOT / "templates").rglob("*.html"):
        text = file.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)|<style|\sstyle=|\son[a-z]+=\"", text), (
            file
        )


BEHIND_TLS = """
import django; django.setup()
from django.conf import settings
settings.ALLOWED_HOSTS = ["fleet.example"]
from django.test import Client
over = Client(headers={"host": "fleet.example", "x-forwarded-proto": "https"})
answer = over.get("/sign-in/")
print(answer.status_code, answer.headers["Strict-Transport-Security"])
cookie = over.cookies[settings.CSRF_COOKIE_NAME]
print(settings.SESSION_COOKIE_NAME, settings.SESSION_COOKIE_SECURE, settings.SESSION_COOKIE_HTTPONLY,
      settings.SESSION_COOKIE_SAMESITE)
print(settings.CSRF_COOKIE_NAME, cookie["secure"], cookie["httponly"], cookie["samesite"], repr(cookie["domain"]))
plain = Client(headers={"host": "fleet.example"}).get("/sign-in/")
print(plain.status_code, plain.headers["Location"])
"""


def test_behind_tls_browsers_are_kept_to_it_and_cookies_are_theirs_alone(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("VMDASH_", "DATABASE_"))}
    told = subprocess.run(
        [sys.executable, "-c", BEHIND_TLS], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**clean, "VMDASH_DATA_DIR": str(tmp_path), "VMDASH_TLS": "yes", "VMDASH_DEBUG": "yes",
             "DJANGO_SETTINGS_MODULE": "vmdash.settings"},
    ).stdout.splitlines()  # fmt: skip
    assert told == [
        "200 max-age=31536000",
        "__Host-sessionid True True Lax",
        "__Host-csrftoken True True Lax ''",
        "301 https://fleet.example/sign-in/",
    ]


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "localhost@evil.example", "127.0.0.1:80:80", "localhost/x", ""]
)
def test_another_host_header_is_not_answered(anonymous_client: Client, host: str) -> None:
    answer = anonymous_client.get("/sign-in/", headers={"host": host})
    assert answer.status_code == 400
    assert b"evil" not in answer.content


def test_a_forwarded_host_is_not_believed(anonymous_client: Client) -> None:
    answer = anonymous_client.get("/", headers={"x-forwarded-host": "evil.example"})
    assert answer.headers["Location"].startswith("/sign-in/")


async def answers(body: list[bytes], announced: int | None) -> list[dict[str, Any]]:
    headers = [(b"host", b"localhost"), (b"content-type", b"application/octet-stream")]
    if announced is not None:
        headers.append((b"content-length", str(announced).encode()))
    scope = {
        "type": "http", "method": "POST", "path": "/sign-in/", "raw_path": b"/sign-in/", "root_path": "",
        "query_string": b"", "headers": headers, "http_version": "1.1", "scheme": "http",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000),
    }  # fmt: skip
    asked = ApplicationCommunicator(application, scope)
    for chunk in body:
        await asked.send_input({"type": "http.request", "body": chunk, "more_body": True})
    if announced is None or announced <= MOST_BODY_BYTES:
        await asked.send_input({"type": "http.request", "body": b"", "more_body": False})
    return [await asked.receive_output(timeout=10), await asked.receive_output(timeout=10)]


@pytest.mark.django_db(transaction=True)
async def test_a_body_that_is_too_long_is_refused_before_it_is_read() -> None:
    start, end = await answers([], MOST_BODY_BYTES + 1)
    assert (start["status"], end["body"]) == (413, b"That is too much.\n")


@pytest.mark.django_db(transaction=True)
async def test_a_body_that_goes_on_and_on_is_refused_when_it_is_too_long() -> None:
    start, _ = await answers([b"x" * (8 << 20)] * 3, None)
    assert start["status"] == 413


@pytest.mark.django_db(transaction=True)
async def test_what_is_short_enough_comes_through() -> None:
    start, _ = await answers([b"x" * 1000], 1000)
    assert start["status"] == 403, "it has no token against forged forms"


def test_a_form_with_too_many_fields_is_refused(viewer_client: Client) -> None:
    assert viewer_client.post("/sign-out/", {f"field{number}": "x" for number in range(1001)}).status_code == 400


def lines_of(message: str, *arguments: object, trouble: Exception | None = None) -> list[str]:
    record = logging.LogRecord("vmdash", logging.WARNING, "", 0, message, arguments, None)
    if trouble:
        record.exc_info = (type(trouble), trouble, None)
    return log_lines.OneLine("{asctime} {levelname} {message}", style="{").format(record).split("\n")


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r", "\x0b", "\x85", "\u2028"])
def test_nobody_writes_a_line_of_their_own_into_the_log(ends: str) -> None:
    (line,) = lines_of("No such guest: %s", f"web1{ends}2026-11-27 00:00:00 ERROR forged")
    assert len(line.splitlines()) == 1
    (coloured,) = lines_of("%s", "\x1b[31mred")
    assert "\x1b" not in coloured
    first, *more = lines_of("It failed", trouble=ValueError(f"web1{ends}2026-11-27 00:00:00 ERROR forged"))
    assert first.endswith("It failed")
    assert all(line.startswith("    ") for line in more)


def test_the_log_is_written_in_such_lines() -> None:
    handlers = logging.getLogger().handlers
    assert any(isinstance(handler.formatter, log_lines.OneLine) for handler in handlers)


def test_nor_into_the_audit_trail(anonymous_client: Client, db: None) -> None:
    anonymous_client.post("/sign-in/", {"username": "ada\nroot \x1b[31m", "password": "guess"})
    entry = AuditEntry.objects.get()
    assert entry.target_name.isprintable()


@pytest.mark.parametrize("field", ["subject", "to", "from_email"])
def test_a_line_break_in_a_header_of_a_mail_is_never_sent(field: str) -> None:
    values: dict[str, Any] = {"subject": "x", "to": ["a@b.org"], "from_email": "c@d.org"}
    values[field] = ["a@b.org\nBcc: e@f.org"] if field == "to" else "x\nBcc: e@f.org"
    with pytest.raises(BadHeaderError):
        EmailMessage(body="x", **values).send()
    assert mail.outbox == []


def test_an_address_with_a_line_break_is_no_address(operator: User) -> None:
    from django.core.exceptions import ValidationError

    operator.email = "a@b.org\nBcc: e@f.org"
    with pytest.raises(ValidationError):
        operator.full_clean()


def test_one_thing_that_is_not_found_is_nothing_and_many_are_one_entry(
    operator_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "MANY_NOT_FOUND", 3)
    for number in range(5):
        assert operator_client.get(f"/webhooks/{number + 1000}/").status_code == 404
        assert AuditEntry.objects.count() == (number >= 2)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.refused, entry.target_name) == ("page.guessing", True, "GET /webhooks/1002/")


def test_guessing_by_the_api_is_noted_as_well(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "MANY_NOT_FOUND", 3)
    script = Caller(viewer)
    statuses = [script.get(f"/guests/{uuid.UUID(int=number)}").status_code for number in range(5)]
    assert statuses == [404] * 5
    entry = AuditEntry.objects.get(action="page.guessing")
    assert (entry.user, entry.target_name) == (viewer, f"GET /api/v1/guests/{uuid.UUID(int=2)}")


def test_a_stranger_who_guesses_fills_nothing(anonymous_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "MANY_NOT_FOUND", 1)
    assert anonymous_client.get("/nowhere/").status_code == 404
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(("peer", "status"), [("192.0.2.1", 200), ("192.0.2.2", 301), ("", 200)])
def test_only_proxies_of_ours_say_that_somebody_came_over_https(
    anonymous_client: Client, settings: Settings, peer: str, status: int
) -> None:
    settings.SECURE_SSL_REDIRECT, settings.SECURE_PROXY_SSL_HEADER = True, ("HTTP_X_FORWARDED_PROTO", "https")
    settings.TRUSTED_PROXIES = [ip_network("192.0.2.1/32")]
    answer = anonymous_client.get("/sign-in/", headers={"x-forwarded-proto": "https"}, REMOTE_ADDR=peer)
    assert answer.status_code == status

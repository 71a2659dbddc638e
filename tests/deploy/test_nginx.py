"""The real nginx with the configuration of deploy/, in front of the real processes with the settings of deploy/."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import websockets
from django.conf import settings
from django.core.management import call_command
from django.test import Client, override_settings

from tests.certificates import Authority
from tests.deploy.units import DEPLOY, NAME, production
from tests.factories import DomainFactory
from tests.polling import poll
from tests.services import Server, free_port
from vmdash.access.models import AuditEntry, User
from vmdash.lab.layout import REPOSITORY

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.one_database,
    pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed"),
]

SESSION, FORM = "__Host-sessionid", "__Host-csrftoken"
"""Cookies behind TLS."""
PERSON, LIAR = "127.0.0.2", "10.9.8.7"
"""Where requests come from, and what they claim."""


class Process(Server):
    """A process of the Procfile as its unit starts it."""

    def __init__(self, name: str, environment: dict[str, str], port: int) -> None:
        super().__init__(name)
        self._port = port
        pairs = [f"{key}={value}" for key, value in environment.items()]
        self._start("env", "-i", *pairs, sys.executable, str(REPOSITORY / "manage.py"), "process", name)
        self._wait()

    def _answers(self) -> bool:
        try:
            return bool(httpx.get(f"http://127.0.0.1:{self._port}/healthz", timeout=5))
        except httpx.ReadError:
            return True
        except httpx.TransportError:
            return False


class Nginx(Server):
    """On free ports of 127.0.0.1, under that name."""

    def __init__(self, changes: dict[str, str]) -> None:
        super().__init__("nginx")
        self.directory.chmod(0o755)  # its workers are another user's
        authority = Authority()
        self.trust = ssl.create_default_context(cadata=authority.pem)
        certificate, key = authority.issue("127.0.0.1")
        (self.directory / "certificate.pem").write_text(certificate)
        (self.directory / "key.pem").write_text(key)
        site = (DEPLOY / "nginx" / "vmdash.conf").read_text()
        for before, after in {"/etc/vmdash/tls": str(self.directory), **changes}.items():
            assert before in site, before
            site = site.replace(before, after)
        self.configuration = self.directory / "nginx.conf"
        temporary = "\n".join(
            f"{what}_temp_path {self.directory}/{what};"
            for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        self.configuration.write_text(
            f"daemon off; pid {self.directory}/pid; error_log stderr;\nevents {{}}\n"
            f"http {{ include /etc/nginx/mime.types; access_log off; {temporary}\n{site} }}\n"
        )

    def begin(self, port: int) -> None:
        self._port = port
        self._start("nginx", "-c", self.configuration)
        self._wait()

    def _answers(self) -> bool:
        try:
            return bool(httpx.get(f"https://127.0.0.1:{self._port}/healthz", verify=self.trust, timeout=5))
        except httpx.TransportError:
            return False


@dataclass(frozen=True)
class Site:
    url: str
    plain_url: str
    web_url: str
    trust: ssl.SSLContext
    nginx: Nginx

    def client(self, user: User | None = None) -> httpx.Client:
        """Somebody's browser at `PERSON`, that lies about it."""
        cookies = {SESSION: _session(user)} if user else {}
        return httpx.Client(
            base_url=self.url,
            cookies=cookies,
            headers={"X-Forwarded-For": LIAR, "X-Real-IP": LIAR},
            transport=httpx.HTTPTransport(verify=self.trust, local_address=PERSON),
        )


def _session(user: User) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


@pytest.fixture(scope="module")
def site(django_db_setup: None) -> Iterator[Site]:
    ports = {name: free_port() for name in ("web", "console", "transfer", "http", "https")}
    static = Path(Server("static").directory)
    static.chmod(0o755)
    url = f"https://127.0.0.1:{ports['https']}"
    environment = production(
        {
            "VMDASH_DATA_DIR": str(settings.DATA_DIR / "production"),
            "VMDASH_STATIC_DIR": str(static / "static"),
            "DATABASE_URL": settings.DATABASE_URL,
            "REDIS_URL": settings.REDIS_URL,
            "VMDASH_SECRET_KEY": settings.SECRET_KEY,
            "VMDASH_ENCRYPTION_KEYS": ",".join(settings.ENCRYPTION_KEYS),
            "VMDASH_ALLOWED_HOSTS": "127.0.0.1",
            "VMDASH_TRUSTED_ORIGINS": url,
            "VMDASH_CONSOLE_URL": f"wss://127.0.0.1:{ports['https']}/console/",
            "VMDASH_TRANSFER_URL": f"{url}/transfer",
            **{f"VMDASH_{name.upper()}_LISTEN": f"127.0.0.1:{ports[name]}" for name in ("web", "console", "transfer")},
        }
    )
    hashed = {**settings.STORAGES, "staticfiles": {"BACKEND": "vmdash.main.staticfiles.HashedStorage"}}
    with override_settings(STATIC_ROOT=static / "static", STORAGES=hashed):
        call_command("collectstatic", interactive=False, verbosity=0)
    nginx = Nginx(
        {
            NAME: "127.0.0.1",
            "/var/cache/vmdash": str(static),
            "    listen [::]:80;\n": "",
            "    listen [::]:443 ssl http2;\n": "",
            "listen 80;": f"listen 127.0.0.1:{ports['http']};",
            "listen 443 ": f"listen 127.0.0.1:{ports['https']} ",
            "127.0.0.1:8000": f"127.0.0.1:{ports['web']}",
            "127.0.0.1:6080": f"127.0.0.1:{ports['console']}",
            "127.0.0.1:6081": f"127.0.0.1:{ports['transfer']}",
        }
    )
    servers: list[Server] = []
    try:
        servers += [Process(name, environment, ports[name]) for name in ("web", "console", "transfer")]
        nginx.begin(ports["https"])
        yield Site(url, f"http://127.0.0.1:{ports['http']}", f"http://127.0.0.1:{ports['web']}", nginx.trust, nginx)
    finally:
        for server in (nginx, *servers):
            server.stop()
        shutil.rmtree(static, ignore_errors=True)


def entry(action: str) -> AuditEntry:
    found = poll(AuditEntry.objects.filter(action=action).last, 10, f"{action} in the audit trail")
    assert found is not None
    return found


def test_a_page_comes_over_tls_alone(site: Site, viewer: User) -> None:
    with site.client(viewer) as browser:
        page = browser.get("/domains/")
        assert page.status_code == 200
        assert page.headers.get_list("Strict-Transport-Security") == ["max-age=31536000"]
        assert page.headers["X-Frame-Options"] == "DENY"
        assert "nginx/" not in page.headers["Server"]
    sent_on = httpx.get(f"{site.plain_url}/domains/?q=web")
    assert (sent_on.status_code, sent_on.headers["Location"]) == (301, "https://127.0.0.1/domains/?q=web")
    assert httpx.get(f"{site.web_url}/domains/").headers["Location"].startswith("https://")


def test_the_audit_trail_has_the_persons_address_and_not_what_they_claim(site: Site, viewer: User) -> None:
    with site.client(viewer) as browser:
        assert browser.get("/audit/").status_code == 403
    assert (entry("page.refused").address, entry("page.refused").user) == (PERSON, viewer)


def test_who_does_not_come_through_the_proxy_is_not_believed(site: Site, viewer: User) -> None:
    """From an address that is not among VMDASH_TRUSTED_PROXIES."""
    transport = httpx.HTTPTransport(local_address="127.0.0.3")
    headers = {"X-Forwarded-For": LIAR, "X-Forwarded-Proto": "https"}
    with httpx.Client(base_url=site.web_url, transport=transport, cookies={SESSION: _session(viewer)}) as direct:
        answer = direct.get("/audit/", headers=headers)
    assert (answer.status_code, answer.headers["Location"].partition(":")[0]) == (301, "https"), "it came without TLS"


def test_forms_of_our_pages_are_taken_and_those_of_others_are_not(site: Site, administrator: User) -> None:
    with site.client(administrator) as browser:
        browser.cookies[FORM] = token = "a" * 32

        def post(origin: str) -> int:
            fields = {"csrfmiddlewaretoken": token}
            return browser.post("/alerts/receivers/add/", data=fields, headers={"Origin": origin}).status_code

        assert post(site.url) in (200, 302, 400, 422)
        assert post("https://evil.example") == 403


def connected(site: Site, path: str, session: str, *, origin: str = "", **options: Any) -> str:
    """The first message of a WebSocket that a browser at `PERSON` opens. Raises InvalidStatus when it is refused."""

    async def connect() -> str:
        async with websockets.connect(
            f"{site.url.replace('https', 'wss')}{path}",
            additional_headers={"Cookie": f"{SESSION}={session}", "X-Forwarded-For": LIAR},
            origin=websockets.Origin(origin or site.url),
            ssl=site.trust,
            local_addr=(PERSON, 0),
            **options,
        ) as socket:
            return str(await asyncio.wait_for(socket.recv(), 10))

    return asyncio.run(connect())


def test_live_updates_go_through(site: Site, viewer: User) -> None:
    (message,) = json.loads(connected(site, "/ws/live/", _session(viewer)))
    assert message["type"] == "hello"
    with pytest.raises(websockets.InvalidStatus):
        connected(site, "/ws/live/", _session(viewer), origin="https://evil.example")


def test_consoles_are_on_the_same_origin_and_what_is_refused_has_the_address(site: Site, operator: User) -> None:
    guest = DomainFactory.create()
    with pytest.raises(websockets.InvalidStatus) as refused:
        connected(
            site,
            f"/console/vnc/{guest.pk}",
            _session(operator),
            subprotocols=[websockets.Subprotocol("ticket.no-such-ticket")],
        )
    assert refused.value.response.status_code == 403
    assert entry("console.connect").address == PERSON


def test_files_of_any_size_go_to_the_transfer_gateway_and_forms_have_a_limit(site: Site, operator: User) -> None:
    much = b"x" * (5 << 20)
    with site.client(operator) as browser:
        answer = browser.put(f"/transfer/upload/{uuid4()}", content=much, headers={"Authorization": "Ticket none"})
        assert answer.status_code not in (404, 413, 502)
        assert "error" in answer.json()
    form = HTTPSConnection(site.url.removeprefix("https://"), context=site.trust)
    form.putrequest("POST", "/sign-out/")
    form.putheader("Content-Length", str(len(much)))  # nginx answers at once, and takes none of it
    form.endheaders()
    assert form.getresponse().status == 413
    form.close()


def test_files_for_browsers_come_from_nginx_and_stay(site: Site) -> None:
    with site.client() as browser:
        sheets = re.findall(r'href="(/static/[^"]+\.css)"', browser.get("/sign-in/").text)
        found = browser.get(sheets[0])
    assert (found.status_code, found.headers["Content-Type"], found.headers["Server"]) == (200, "text/css", "nginx")
    assert found.headers["Content-Encoding"] == "gzip"
    assert "immutable" in found.headers["Cache-Control"]
    assert found.headers["X-Content-Type-Options"] == "nosniff"


def test_nobody_hands_over_alerts_from_elsewhere(site: Site) -> None:
    with site.client() as browser:
        assert browser.post("/alerts/receive/api/v2/alerts", json=[]).status_code == 404
    assert httpx.post(f"{site.web_url}/alerts/receive/api/v2/alerts", json=[]).status_code == 401

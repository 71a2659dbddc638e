"""People are told, by mail and webhook, once each, and again when it could not be sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.core import mail
from django.utils import timezone

from tests.alerts.test_intake import told
from vmdash.alerts import intake, notifying
from vmdash.alerts.models import Alert, Notification, Receiver, Silence

pytestmark = pytest.mark.django_db


class Hook:
    """A webhook on the loopback interface; `status` is what it answers."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[dict[str, str], bytes]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.got.append((dict(self.headers), body))
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


def test_mail_says_what_since_when_and_that_it_is_over() -> None:
    Receiver.objects.create(name="ops", kind="mail", address="ops@example.org")
    intake.take([told(summary="kvm3 does not answer\nBcc: all@example.org")])
    assert notifying.send_due() == 1
    intake.take([told(ended=True)])
    assert notifying.send_due() == 1
    began, over = mail.outbox
    assert began.subject == "[vmdash] Critical: kvm3 does not answer Bcc: all@example.org"
    assert began.to == ["ops@example.org"]
    assert "host: kvm3" in began.body
    assert over.subject.startswith("[vmdash] Over: kvm3")


def test_a_webhook_gets_json_with_a_signature(hook: Hook) -> None:
    Receiver.objects.create(name="chat", kind="webhook", address=hook.url, secret="s3cret")
    intake.take([told()])
    assert notifying.send_due() == 1
    headers, body = hook.got[0]
    assert headers["X-Vmdash-Signature"] == f"sha256={notifying.sign('s3cret', body)}"
    assert json.loads(body)["event"] == "alert.firing"
    assert json.loads(body)["labels"]["host"] == "kvm3"
    assert notifying.send_due() == 0, "once"


def test_what_could_not_be_sent_is_sent_again_and_given_up_in_the_end(hook: Hook) -> None:
    Receiver.objects.create(name="chat", kind="webhook", address=hook.url)
    hook.status = 503
    intake.take([told()])
    for attempt in range(1, notifying.MOST_ATTEMPTS + 1):
        Notification.objects.update(due_at=timezone.now())
        assert notifying.send_due() == 0
        assert Notification.objects.get().attempts == attempt
        assert notifying.send_due() == 0, "not at once"
    one = Notification.objects.get()
    assert one.given_up_at is not None
    assert "503" in one.error
    assert len(hook.got) == notifying.MOST_ATTEMPTS


def test_it_arrives_when_the_receiver_is_back(hook: Hook) -> None:
    Receiver.objects.create(name="chat", kind="webhook", address=hook.url)
    hook.status = 500
    intake.take([told()])
    notifying.send_due()
    hook.status = 200
    Notification.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert notifying.send_due() == 1
    assert Notification.objects.get().sent_at is not None


def test_the_lesser_the_silenced_and_the_disabled_are_not_told() -> None:
    Receiver.objects.create(name="ops", kind="mail", address="ops@example.org", least="critical")
    Receiver.objects.create(name="off", kind="mail", address="off@example.org", enabled=False)
    Silence.objects.create(rule="PoolFull", reason="known", ends_at=timezone.now() + timedelta(hours=1))
    intake.take([told(severity="warning"), told(alertname="PoolFull")])
    assert Alert.objects.count() == 2
    assert not Notification.objects.exists()


def test_who_was_not_told_of_the_beginning_is_not_told_of_the_end() -> None:
    intake.take([told()])
    Receiver.objects.create(name="ops", kind="mail", address="ops@example.org")
    intake.take([told(ended=True)])
    assert not Notification.objects.exists()

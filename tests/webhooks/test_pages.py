"""The pages of webhooks: whose they are, what can be chosen, and the secret that is shown once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from tests.access.world import WORD, World
from vmdash.access.models import AuditEntry, User
from vmdash.webhooks import services
from vmdash.webhooks.models import Delivery, Topic, Webhook
from vmdash.webhooks.services import new_secret

pytestmark = pytest.mark.django_db

FIELDS = {
    "name": "chat",
    "url": "https://chat.example.org/hook",
    "topics": ["alert", "job.finished"],
    "least": "critical",
    "scope": "everything",
    "which": "",
}


def add(client: Client, **fields: object) -> Any:
    return client.post(reverse("webhook-add"), {**FIELDS, **fields})


@pytest.fixture
def webhook(operator: User) -> Webhook:
    return Webhook.objects.create(
        owner=operator, name="chat", url="https://chat.example.org/", secret=new_secret(), topics=["alert"]
    )


def page(client: Client, webhook: Webhook) -> str:
    return client.get(reverse("webhook", args=[webhook.pk])).content.decode()


def test_the_secret_is_shown_once(operator_client: Client) -> None:
    answer = add(operator_client)
    webhook = Webhook.objects.get()
    (shown,) = re.findall(r'id="secret">([^<]+)<', answer.content.decode())
    assert shown == webhook.secret
    assert "no-store" in answer.headers["Cache-Control"]
    for url in (reverse("webhook", args=[webhook.pk]), reverse("webhooks"), reverse("webhook-edit", args=[webhook.pk])):
        assert shown not in operator_client.get(url).content.decode()
    assert not AuditEntry.objects.filter(detail__contains=shown).exists()
    entry = AuditEntry.objects.get(action="webhook.add", target_name="chat")
    assert entry.detail.startswith("https://chat.example.org: "), "without the path, which may be a secret, too"


def test_a_new_secret_takes_the_place_of_the_old_one(operator_client: Client, webhook: Webhook) -> None:
    old = webhook.secret
    text = operator_client.post(reverse("webhook-secret", args=[webhook.pk])).content.decode()
    webhook.refresh_from_db()
    assert webhook.secret != old
    assert webhook.secret in text
    assert old not in text


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "ftp://chat.example.org/"}, {"url": "https://user:secret@chat.example.org/"}, {"url": "nonsense"},
        {"url": "http://169.254.169.254/latest/meta-data"}, {"url": "https://[fe80::1]/"}, {"url": "http://127.0.0.1/"},
        {"url": "http://10.1.2.3/"}, {"url": "http://[::ffff:10.1.2.3]/"}, {"url": "https://chat.example.org:x/"},
        {"url": "https://chat.example.org/a b"}, {"url": "https://chat.example.org/\r\nX: y"}, {"url": "https://"},
        {"url": "https://[::1/"}, {"topics": []}, {"topics": ["test"]}, {"topics": ["x"]}, {"least": "loud"},
        {"name": ""}, {"name": "a\nb"}, {"scope": "planet"}, {"scope": "host", "which": ""},
        {"scope": "host", "which": "nowhere"}, {"scope": "everything", "which": "kvm1"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    operator_client: Client, webhook: Webhook, fields: dict[str, Any]
) -> None:
    assert add(operator_client, **{"name": "other", **fields}).status_code == 400
    url = reverse("webhook-edit", args=[webhook.pk])
    assert operator_client.post(url, {**FIELDS, **fields}).status_code == 400
    assert list(Webhook.objects.values_list("name", "url")) == [("chat", "https://chat.example.org/")]


def test_private_networks_can_be_allowed(operator_client: Client, settings: Settings) -> None:
    from ipaddress import ip_network

    settings.WEBHOOK_NETWORKS = [ip_network("10.1.0.0/16")]
    assert add(operator_client, url="http://10.1.2.3/").status_code == 200
    assert add(operator_client, url="http://10.2.2.3/", name="b").status_code == 400


def test_of_a_name_and_in_number_there_is_an_end(operator_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert add(operator_client).status_code == 200
    assert add(operator_client).status_code == 409
    monkeypatch.setattr(services, "MOST_EACH", 1)
    answer = add(operator_client, name="second")
    assert answer.status_code == 409
    assert "Remove one first" in answer.content.decode()
    assert Webhook.objects.count() == 1


@pytest.mark.parametrize("scope", ["site", "host", "tag", "guest"])
def test_only_what_one_may_see_can_be_chosen(client_of: Callable[[User], Client], scope: str) -> None:
    from hosts.models import Tag

    world = World()
    tag = Tag.objects.create(name=f"{WORD}-tag")
    world.guest.tags.add(tag)
    here, elsewhere = world.person("operator here"), world.person("operator elsewhere")
    assert isinstance(here, User)
    assert isinstance(elsewhere, User)
    thing: Any = {"site": world.here, "host": world.host, "tag": tag, "guest": world.guest}[scope]
    assert add(client_of(elsewhere), scope=scope, which=thing.name).status_code == 400
    assert add(client_of(here), scope=scope, which=thing.name).status_code == 200
    made = Webhook.objects.get(owner=here)
    assert (made.scope, made.scope_id, made.scope_name) == (scope, str(thing.pk), thing.name)


def test_changing_switching_testing_and_removing(operator_client: Client, webhook: Webhook) -> None:
    form = operator_client.get(reverse("webhook-edit", args=[webhook.pk])).content.decode()
    assert "https://chat.example.org/" in form
    operator_client.post(reverse("webhook-edit", args=[webhook.pk]), {**FIELDS, "name": "talk"})
    webhook.refresh_from_db()
    assert (webhook.name, webhook.topics) == ("talk", [Topic.ALERT, Topic.JOB_FINISHED])
    operator_client.post(reverse("webhook-test", args=[webhook.pk]))
    assert "on its way" in page(operator_client, webhook)
    operator_client.post(reverse("webhook-off", args=[webhook.pk]))
    text = page(operator_client, webhook)
    assert "operator switched it off" in text
    assert "given up" in text
    operator_client.post(reverse("webhook-test", args=[webhook.pk]))
    assert Delivery.objects.count() == 1, "it is off"
    operator_client.post(reverse("webhook-on", args=[webhook.pk]))
    webhook.refresh_from_db()
    assert (webhook.enabled, webhook.off_reason) == (True, "")
    operator_client.post(reverse("webhook-remove", args=[webhook.pk]))
    assert not Webhook.objects.exists()
    recorded = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"webhook.edit", "webhook.test", "webhook.off", "webhook.on", "webhook.remove"} <= recorded


def test_the_last_deliveries_tell_what_came_of_them(operator_client: Client, webhook: Webhook) -> None:
    one, now = services.send_test(webhook=webhook, user=webhook.owner), timezone.now()
    Delivery.objects.filter(pk=one.pk).update(attempts=2, tried_at=now, error="It answered 503.", status=503)
    Webhook.objects.update(failing_since=now)
    text = page(operator_client, webhook)
    assert "trying again" in text
    assert "It answered 503." in text
    assert "fails" in operator_client.get(reverse("webhooks")).content.decode()
    Delivery.objects.update(sent_at=now, error="", status=204, took_ms=12)
    assert "204, 12 ms" in page(operator_client, webhook)


def test_an_administrator_sees_and_stops_everybodys_and_changes_nobodys(
    administrator_client: Client, webhook: Webhook
) -> None:
    text = page(administrator_client, webhook)
    assert "operator" in text
    assert "New secret" not in text
    for name in ("webhook-edit", "webhook-test", "webhook-secret", "webhook-on"):
        assert administrator_client.post(reverse(name, args=[webhook.pk]), FIELDS).status_code == 404
    administrator_client.post(reverse("webhook-off", args=[webhook.pk]))
    webhook.refresh_from_db()
    assert "admin switched it off" in webhook.off_reason


@pytest.mark.parametrize("who", ["nobody", "viewer", "help_desk"])
def test_who_may_have_none_is_refused(who: str, request: pytest.FixtureRequest) -> None:
    client = request.getfixturevalue(f"{who}_client")
    assert client.get(reverse("webhooks")).status_code == 403
    assert add(client).status_code == 403
    assert not Webhook.objects.exists()

"""Scripts have webhooks, and the secret is told once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.caller import Caller
from tests.factories import HostFactory, UserFactory
from vmdash.access.models import User
from vmdash.api.models import KeptAnswer, TokenScope
from vmdash.webhooks.models import Delivery, Webhook
from vmdash.webhooks.services import new_secret

pytestmark = pytest.mark.django_db

WISH = {"name": "chat", "url": "https://chat.example.org/hook", "topics": ["alert", "job.finished"]}


@pytest.fixture
def webhook(operator: User) -> Webhook:
    return Webhook.objects.create(
        owner=operator, name="chat", url="https://chat.example.org/", secret=new_secret(), topics=["alert"]
    )


def test_the_secret_is_in_the_answer_that_makes_it_and_in_no_other(calls: Caller) -> None:
    made = calls.post("/webhooks", WISH, **{"Idempotency-Key": "mine"})
    assert made.status_code == 201
    secret = made.json().pop("secret")
    row = Webhook.objects.get()
    assert secret == row.secret
    calls.send("PATCH", f"/webhooks/{row.pk}", {"name": "other"})
    for path in ("", f"/{row.pk}", f"/{row.pk}/deliveries"):
        assert secret not in calls.get(f"/webhooks{path}").content.decode()
    again = calls.post("/webhooks", WISH | {"name": "other"}, **{"Idempotency-Key": "mine"})
    assert again.status_code == 409
    assert not KeptAnswer.objects.filter(answer__contains=secret).exists()


def test_a_new_secret_takes_the_place_of_the_old_one(calls: Caller, webhook: Webhook) -> None:
    before = webhook.secret
    told = calls.post(f"/webhooks/{webhook.pk}/secret").json()["secret"]
    webhook.refresh_from_db()
    assert told == webhook.secret != before


def test_a_webhook_is_about_what_it_was_made_for(calls: Caller) -> None:
    HostFactory.create(name="kvm1")
    made = calls.post("/webhooks", WISH | {"scope": "host", "which": "kvm1", "least": "critical"}).json()
    told = calls.get(f"/webhooks/{made['id']}").json()
    assert (told["scope"], told["which"], told["least"]) == ("host", "kvm1", "critical")
    assert (told["topics"], told["enabled"]) == (WISH["topics"], True)


@pytest.mark.parametrize(
    ("wrong", "at"),
    [
        ({"url": "ftp://chat.example.org/"}, "url"),
        ({"url": "http://127.0.0.1/"}, "url"),
        ({"topics": ["weather"]}, "topics"),
        ({"scope": "host", "which": "kvm9"}, "which"),
        ({"which": "kvm1"}, "which"),
    ],
)
def test_what_is_wrong_makes_and_changes_nothing(
    calls: Caller, webhook: Webhook, wrong: dict[str, Any], at: str
) -> None:
    for answer in (
        calls.post("/webhooks", WISH | {"name": "new"} | wrong),
        calls.send("PATCH", f"/webhooks/{webhook.pk}", wrong),
    ):
        assert (answer.status_code, [one["at"] for one in answer.json()["errors"]]) == (422, [at])
    row = Webhook.objects.get()
    assert (row.url, row.topics, row.scope) == (webhook.url, webhook.topics, webhook.scope)


@pytest.mark.parametrize("empty", [{"name": ""}, {"url": ""}, {"topics": []}, {"secret": "whsec_x"}])
def test_nothing_is_emptied_by_a_change(calls: Caller, webhook: Webhook, empty: dict[str, Any]) -> None:
    assert calls.send("PATCH", f"/webhooks/{webhook.pk}", empty).status_code == 422
    assert calls.get(f"/webhooks/{webhook.pk}").json()["name"] == "chat"
    assert Webhook.objects.get().secret == webhook.secret


def test_what_is_left_out_of_a_change_stays(calls: Caller, webhook: Webhook) -> None:
    HostFactory.create(name="kvm1")
    path = f"/webhooks/{webhook.pk}"
    assert calls.send("PATCH", path, {"scope": "host", "which": "kvm1"}).json()["which"] == "kvm1"
    told = calls.send("PATCH", path, {"topics": ["host.state"]}).json()
    assert (told["name"], told["url"], told["topics"]) == ("chat", webhook.url, ["host.state"])
    assert (told["scope"], told["which"]) == ("host", "kvm1")
    told = calls.send("PATCH", path, {"scope": "everything"}).json()
    assert (told["scope"], told["which"]) == ("everything", "")
    assert calls.get(path).json() == told


def test_a_test_is_sent_and_stands_among_the_deliveries(calls: Caller, webhook: Webhook) -> None:
    answer = calls.post(f"/webhooks/{webhook.pk}/test")
    assert (answer.status_code, answer.json()["kind"], answer.json()["sent_at"]) == (202, "test", None)
    Delivery.objects.update(attempts=2, status=500, error="It answered 500.")
    told = calls.get(f"/webhooks/{webhook.pk}/deliveries").json()
    assert told["total"] == 1
    assert (told["items"][0]["attempts"], told["items"][0]["status"]) == (2, 500)
    assert told["items"][0]["error"] == "It answered 500."


def test_one_that_is_off_is_told_nothing_until_it_is_on(calls: Caller, webhook: Webhook) -> None:
    off = calls.post(f"/webhooks/{webhook.pk}/off").json()
    assert (off["enabled"], off["off_reason"]) == (False, "operator switched it off.")
    assert calls.post(f"/webhooks/{webhook.pk}/test").status_code == 409
    assert calls.post(f"/webhooks/{webhook.pk}/on").json()["enabled"] is True
    assert calls.post(f"/webhooks/{webhook.pk}/test").status_code == 202


def test_a_webhook_is_removed(calls: Caller, webhook: Webhook) -> None:
    assert calls.send("DELETE", f"/webhooks/{webhook.pk}").status_code == 204
    assert calls.get("/webhooks").json() == []
    assert calls.send("DELETE", f"/webhooks/{webhook.pk}").status_code == 404


def test_webhooks_of_others_are_not_found(webhook: Webhook) -> None:
    other, path = Caller(UserFactory.create(role="operator")), f"/webhooks/{webhook.pk}"
    assert other.get("/webhooks").json() == []
    tried = [other.get(path), other.get(f"{path}/deliveries"), other.send("PATCH", path, {"name": "mine"})]
    tried += [other.send("DELETE", path), *(other.post(f"{path}/{what}") for what in ("test", "secret", "on", "off"))]
    assert {answer.status_code for answer in tried} == {404}
    row = Webhook.objects.get()
    assert (row.name, row.secret, row.enabled) == ("chat", webhook.secret, True)


def test_who_manages_alerts_switches_those_of_others_off_and_changes_none(
    webhook: Webhook, administrator: User
) -> None:
    manager, path = Caller(administrator), f"/webhooks/{webhook.pk}"
    assert [one["owner"] for one in manager.get("/webhooks").json()] == ["operator"]
    assert manager.send("PATCH", path, {"url": "https://elsewhere.example.org/"}).status_code == 404
    assert manager.post(f"{path}/secret").status_code == 404
    assert manager.post(f"{path}/off").json()["enabled"] is False
    assert manager.post(f"{path}/on").status_code == 404


def test_who_may_have_none_makes_none(operator: User) -> None:
    for caller in (Caller(UserFactory.create(role="viewer")), Caller(operator, TokenScope.READ)):
        assert caller.get("/webhooks").status_code == 403
        assert caller.post("/webhooks", WISH).status_code == 403
    assert not Webhook.objects.exists()

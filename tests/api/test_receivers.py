"""Scripts choose whom alerts are told to by mail."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from tests.api.caller import Caller
from vmdash.access.models import AuditEntry, User
from vmdash.alerts.models import Notification, Receiver
from vmdash.api.models import TokenScope

pytestmark = pytest.mark.django_db

WISH = {"name": "on call", "address": "oncall@example.org"}


@pytest.fixture(autouse=True)
def mail(settings: Settings) -> None:
    settings.SENDS_MAIL = True


@pytest.fixture
def manager(administrator: User) -> Caller:
    return Caller(administrator)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver.objects.create(name="on call", address="oncall@example.org")


def test_a_receiver_is_made_and_listed(manager: Caller) -> None:
    answer = manager.post("/receivers", WISH | {"least": "critical"})
    assert answer.status_code == 201
    assert answer.json() == {"id": Receiver.objects.get().pk, "least": "critical", "last_told": None, **WISH}
    assert manager.get("/receivers").json() == [answer.json()]
    assert AuditEntry.objects.filter(action="alert.receiver.add", target_name="on call").count() == 1


@pytest.mark.parametrize(
    "wrong", [{"address": "nobody"}, {"name": ""}, {"least": "grave"}, {"password": "x"}, {"name": "x" * 81}]
)
def test_what_is_wrong_makes_none(manager: Caller, wrong: dict[str, Any]) -> None:
    assert manager.post("/receivers", WISH | wrong).status_code == 422
    assert not Receiver.objects.exists()


def test_a_name_is_given_once(manager: Caller, receiver: Receiver) -> None:
    answer = manager.post("/receivers", WISH | {"address": "other@example.org"})
    assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, "name")
    assert Receiver.objects.get().address == "oncall@example.org"


def test_without_a_mail_server_there_is_none(manager: Caller, settings: Settings) -> None:
    settings.SENDS_MAIL = False
    answer = manager.post("/receivers", WISH)
    assert (answer.status_code, "VMDASH_EMAIL_URL" in answer.json()["detail"]) == (409, True)
    assert not Receiver.objects.exists()


def test_a_receiver_is_tried_and_the_list_says_what_came_of_it(manager: Caller, receiver: Receiver) -> None:
    assert manager.post(f"/receivers/{receiver.pk}/try").status_code == 204
    Notification.objects.update(attempts=1, error="refused by the server")
    told = manager.get("/receivers").json()[0]["last_told"]
    assert (told["event"], told["attempts"], told["error"]) == ("firing", 1, "refused by the server")
    assert told["alert"].startswith("A trial")
    assert manager.post("/receivers/999999/try").status_code == 404


def test_a_receiver_is_removed(manager: Caller, receiver: Receiver) -> None:
    assert manager.send("DELETE", f"/receivers/{receiver.pk}").status_code == 204
    assert not Receiver.objects.exists()
    assert AuditEntry.objects.filter(action="alert.receiver.remove", target_name="on call").count() == 1
    assert manager.send("DELETE", f"/receivers/{receiver.pk}").status_code == 404


def test_who_does_not_manage_alerts_sees_and_changes_none(
    operator: User, administrator: User, receiver: Receiver
) -> None:
    for other in (Caller(operator), Caller(administrator, TokenScope.ACT)):
        assert other.get("/receivers").status_code == 403
        assert other.post("/receivers", WISH | {"name": "another"}).status_code == 403
        assert other.post(f"/receivers/{receiver.pk}/try").status_code == 403
        assert other.send("DELETE", f"/receivers/{receiver.pk}").status_code == 403
    assert Receiver.objects.get() == receiver
    assert not Notification.objects.exists()

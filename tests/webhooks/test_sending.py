"""What is due is sent over real HTTP, signed, again when it failed, and not for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import standardwebhooks
import time_machine
from django.utils import timezone

from tests.factories import JobFactory
from tests.webhooks.hook import Hook
from vmdash.access.models import AuditEntry, User
from vmdash.access.roles import Role
from vmdash.jobs import transitions
from vmdash.jobs.models import Job
from vmdash.webhooks import handing, sending, services
from vmdash.webhooks.models import Delivery, Event, Topic, Webhook

pytestmark = pytest.mark.django_db

WebhookOf = Callable[..., Webhook]


@pytest.fixture
def webhook(operator: User, webhook_of: WebhookOf) -> Webhook:
    return webhook_of(operator)


def end_a_job() -> Job:
    job = JobFactory.create(state=Job.State.RUNNING, label="Start web1")
    transitions.succeed(job, {})
    return job


def work() -> int:
    """What the scheduler and the workers do in a round. Returns how many arrived."""
    handing.hand_on()
    return sum(sending.send_due(pk, until) for pk, until in sending.take_those_with_something_due())


def due_now() -> None:
    Delivery.objects.update(due_at=timezone.now() - timedelta(seconds=1))


def test_a_job_that_ended_is_told_with_a_signature_that_any_library_can_check(webhook: Webhook, hook: Hook) -> None:
    job = end_a_job()
    assert work() == 1
    headers, body = hook.got[0]
    told = standardwebhooks.Webhook(webhook.secret).verify(body, {name.lower(): text for name, text in headers.items()})
    assert told["type"] == "job.finished"
    assert (told["data"]["id"], told["data"]["state"], told["data"]["label"]) == (
        str(job.pk),
        "succeeded",
        "Start web1",
    )
    assert work() == 0, "once"
    one = Delivery.objects.get()
    assert (one.attempts, one.status, one.error) == (1, 200, "")
    assert one.sent_at is not None


@pytest.mark.parametrize("change", ["body", "webhook-id", "webhook-timestamp", "secret"])
def test_whatever_was_changed_on_the_way_is_found_out(webhook: Webhook, hook: Hook, change: str) -> None:
    end_a_job()
    work()
    headers = {name.lower(): text for name, text in hook.got[0][0].items()}
    body, secret = hook.got[0][1], webhook.secret
    if change == "body":
        body = body.replace(b"succeeded", b"cancelled")
    elif change == "secret":
        secret = services.new_secret()
    else:
        headers[change] = headers[change][:-1] + ("1" if headers[change][-1] != "1" else "2")
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret).verify(body, headers)


def test_what_is_rolled_back_is_not_told(webhook: Webhook, hook: Hook) -> None:
    job = JobFactory.create(state=Job.State.SUCCEEDED)
    assert not transitions.succeed(job, {}), "it has ended before"
    assert not Event.objects.exists()


def test_without_a_webhook_nothing_is_written_down(db: None) -> None:
    end_a_job()
    assert not Event.objects.exists()


def test_it_is_tried_again_with_growing_pauses_and_given_up_in_the_end(webhook: Webhook, hook: Hook) -> None:
    hook.status = 503
    end_a_job()
    pauses = []
    for attempt in range(1, sending.MOST_ATTEMPTS + 1):
        assert work() == 0
        one = Delivery.objects.get()
        assert (one.attempts, one.status) == (attempt, 503)
        assert work() == 0
        assert Delivery.objects.get().attempts == attempt, "not at once"
        pauses.append((one.due_at - timezone.now()).total_seconds())
        due_now()
    assert pauses == sorted(pauses)
    assert pauses[0] < 12
    assert pauses[-1] > 3600
    one = Delivery.objects.get()
    assert one.given_up_at is not None
    assert "503" in one.error
    assert len(hook.got) == sending.MOST_ATTEMPTS
    assert len({headers["webhook-id"] for headers, _ in hook.got}) == 1, "so that doubles are noticed"


def test_it_arrives_when_the_receiver_is_back(webhook: Webhook, hook: Hook) -> None:
    hook.status = 500
    end_a_job()
    work()
    webhook.refresh_from_db()
    assert webhook.failing_since is not None
    hook.status = 204
    due_now()
    assert work() == 1
    webhook.refresh_from_db()
    assert webhook.failing_since is None


def test_one_who_is_away_is_not_asked_for_everything_that_waits(webhook: Webhook, hook: Hook) -> None:
    hook.status = 500
    for _ in range(8):
        end_a_job()
    work()
    assert len(hook.got) == sending.FAILURES_A_ROUND


def test_a_webhook_is_worked_on_by_one_worker_at_a_time(webhook: Webhook, hook: Hook) -> None:
    end_a_job()
    handing.hand_on()
    assert len(list(sending.take_those_with_something_due())) == 1
    assert list(sending.take_those_with_something_due()) == []


def test_one_persons_webhooks_leave_workers_to_others(
    operator: User, administrator: User, webhook_of: WebhookOf, hook: Hook
) -> None:
    mine, theirs = [webhook_of(operator, name=f"chat {n}") for n in range(4)], webhook_of(administrator)
    end_a_job()
    handing.hand_on()
    taken = {pk for pk, _ in sending.take_those_with_something_due()}
    assert len(taken & {one.pk for one in mine}) == sending.OF_ONE_OWNER
    assert theirs.pk in taken


def test_when_a_worker_dies_another_one_goes_on(webhook: Webhook, hook: Hook) -> None:
    end_a_job()
    handing.hand_on()
    ((_, dead),) = sending.take_those_with_something_due()
    assert work() == 0, "it still has the webhook"
    with time_machine.travel(dead + timedelta(seconds=1), tick=True):
        assert work() == 1
        assert sending.send_due(webhook.pk, dead) == 0, "one that was only slow finds that another one has it"
    assert len(hook.got) == 1


def test_redirects_are_not_followed(webhook: Webhook, hook: Hook) -> None:
    hook.status, hook.headers = 302, {"Location": f"http://127.0.0.1:{hook.port}/elsewhere"}
    end_a_job()
    work()
    assert len(hook.got) == 1
    assert "redirects are not followed" in Delivery.objects.get().error


def test_after_long_failure_it_is_switched_off_and_says_why(webhook: Webhook, hook: Hook) -> None:
    hook.status = 500
    end_a_job()
    work()
    Webhook.objects.update(failing_since=timezone.now() - sending.OFF_AFTER - timedelta(minutes=1))
    end_a_job()
    due_now()
    work()
    webhook.refresh_from_db()
    assert not webhook.enabled
    assert "Nothing arrived since" in webhook.off_reason
    assert "500" in webhook.off_reason
    assert not Delivery.objects.waiting().exists()
    entry = AuditEntry.objects.get(action="webhook.off")
    assert (entry.user, entry.failed) == (None, True)
    asked = len(hook.got)
    end_a_job()
    assert work() == 0
    assert len(hook.got) == asked


def test_who_answers_that_it_is_gone_is_not_asked_again(webhook: Webhook, hook: Hook) -> None:
    hook.status = 410
    end_a_job()
    work()
    webhook.refresh_from_db()
    assert "410" in webhook.off_reason


def test_one_that_cannot_keep_up_is_switched_off(webhook: Webhook, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handing, "MOST_WAITING", 2)
    for _ in range(3):
        end_a_job()
    handing.hand_on()
    webhook.refresh_from_db()
    assert "cannot keep up" in webhook.off_reason


@pytest.mark.parametrize("loss", ["role", "account"])
def test_what_may_not_be_seen_any_more_is_not_sent(webhook: Webhook, hook: Hook, operator: User, loss: str) -> None:
    end_a_job()
    handing.hand_on()
    User.objects.filter(pk=operator.pk).update(**({"role": ""} if loss == "role" else {"is_active": False}))
    work()
    assert hook.got == []
    assert "may not see" in Delivery.objects.get().error


def test_a_test_is_sent_to_the_one_webhook(webhook: Webhook, operator: User, hook: Hook, webhook_of: WebhookOf) -> None:
    webhook_of(operator, name="other")
    services.send_test(webhook=webhook, user=operator)
    assert work() == 1
    assert hook.told[0]["type"] == "test"


def test_the_secret_lies_encrypted_in_the_database(webhook: Webhook) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM webhooks_webhook")
        (stored,) = cursor.fetchone()
    assert webhook.secret not in stored
    assert webhook.secret.startswith("whsec_")


def test_of_other_peoples_jobs_only_where_they_may_be_seen(
    help_desk: User, operator: User, webhook_of: WebhookOf, hook: Hook
) -> None:
    """The right to webhooks comes with operators; whose jobs are told is asked all the same."""
    webhook_of(operator, Topic.JOB_FINISHED)
    User.objects.filter(pk=operator.pk).update(role=Role.HELP_DESK)
    end_a_job()
    handing.hand_on()
    assert not Delivery.objects.exists()

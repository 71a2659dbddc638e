"""What people see of alerts and do about them; and who may."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from hosts.models import Host
from tests.alerts.test_intake import told
from tests.factories import DomainFactory, HostFactory, JobFactory, PoolFactory
from vmdash.access.models import AuditEntry
from vmdash.alerts import intake, selectors
from vmdash.alerts.models import Alert, Receiver, Silence
from vmdash.main import gauges

pytestmark = pytest.mark.django_db


@pytest.fixture
def alert() -> Alert:
    HostFactory.create(name="kvm3")
    intake.take([told()])
    return Alert.objects.get()


def page(client: Client, name: str = "alerts", *arguments: object) -> str:
    answer = client.get(reverse(name, args=arguments))
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_calm_fleet_says_what_is_watched(viewer_client: Client) -> None:
    assert "Nothing is wrong</h2>" in page(viewer_client)


def test_it_is_shown_with_where_and_since_when(viewer_client: Client, alert: Alert) -> None:
    text = page(viewer_client)
    assert "kvm3 does not answer" in text
    assert reverse("host", args=["kvm3"]) in text
    assert "I know" not in text, "a viewer may not act"


def test_the_navigation_counts_the_loud_ones(viewer_client: Client, alert: Alert) -> None:
    counts = {place.name: place.count for place in viewer_client.get(reverse("alerts")).context["frame"].places}
    assert counts["Alerts"] == 1


def test_many_that_are_silenced_do_not_hide_a_loud_one(
    viewer_client: Client, alert: Alert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "MOST_FIRING", 1)
    silence = Silence.objects.create(host="kvm1", ends_at=timezone.now() + timedelta(hours=4), reason="new roof")
    Alert.objects.filter(pk=alert.pk).update(silence=silence)
    intake.take([told(summary="kvm2 has little memory", host="kvm2", severity="warning")])
    assert "kvm2 has little memory" in page(viewer_client)


def test_somebody_says_that_they_know(operator_client: Client, alert: Alert) -> None:
    operator_client.post(reverse("alert-acknowledge", args=[alert.pk]), {"note": "new power supply"})
    text = page(operator_client)
    assert "operator knows" in text
    assert "Nothing else is wrong" in text
    assert "new power supply" in text
    assert not Alert.objects.loud().exists()
    assert AuditEntry.objects.filter(action="alert.acknowledge").exists()


def test_only_the_first_one_knows(operator_client: Client, administrator_client: Client, alert: Alert) -> None:
    for client in (operator_client, administrator_client):
        client.post(reverse("alert-acknowledge", args=[alert.pk]))
    assert Alert.objects.get().acknowledged_by == "operator"


def test_it_is_silenced_for_a_while_and_loud_again(operator_client: Client, alert: Alert) -> None:
    fields = {"hours": "4", "reason": "new power supply"}
    operator_client.post(reverse("alert-silence", args=[alert.pk]), fields)
    assert not Alert.objects.loud().exists()
    text = page(operator_client)
    assert "HostUnreachable on kvm3" in text
    silence = Silence.objects.get()
    assert timedelta(hours=3) < silence.ends_at - timezone.now() <= timedelta(hours=4)
    operator_client.post(reverse("silence-end", args=[silence.pk]))
    assert Alert.objects.loud().exists()


@pytest.mark.parametrize(
    "fields", [{}, {"hours": "4"}, {"hours": "9999", "reason": "x"}, {"hours": "x", "reason": "x"}]
)
def test_a_silence_needs_an_end_and_a_reason(operator_client: Client, alert: Alert, fields: dict[str, str]) -> None:
    assert operator_client.post(reverse("alert-silence", args=[alert.pk]), fields).status_code == 400
    assert not Silence.objects.exists()


def test_the_guest_and_the_host_say_it_too(viewer_client: Client) -> None:
    host = HostFactory.create(name="kvm3")
    guest = DomainFactory.create(host=host)
    intake.take([
        told(alertname="DiskSlow", uuid=str(guest.pk), summary="Its disk is slow"),
        told(alertname="PoolFull", pool="default", summary="Pool default on kvm3 is full"),
    ])  # fmt: skip
    assert "Its disk is slow." in page(viewer_client, "guest", guest.pk)
    assert "Pool default on kvm3 is full." in page(viewer_client, "host", "kvm3")
    assert "Pool default on kvm3 is full" in page(viewer_client, "fleet")


def test_each_place_leads_to_its_alerts(viewer_client: Client) -> None:
    host = HostFactory.create(name="kvm3")
    guest, pool = DomainFactory.create(host=host), PoolFactory.create(host=host, name="default")
    intake.take([
        told(alertname="DiskSlow", uuid=str(guest.pk)),
        told(alertname="PoolFull", pool="default"),
    ])  # fmt: skip
    for rule, place in (("DiskSlow", ("guest", guest.pk)), ("PoolFull", ("pool", "kvm3", pool.name))):
        alert = Alert.objects.get(rule=rule)
        assert f"{reverse('alerts')}#alert-{alert.pk}" in page(viewer_client, *place)


def test_a_pool_says_what_is_wrong_with_it_and_not_with_its_namesakes(viewer_client: Client) -> None:
    for name in ("kvm1", "kvm3"):
        PoolFactory.create(host=HostFactory.create(name=name), name="default")
    PoolFactory.create(host=Host.objects.get(name="kvm3"), name="other")
    intake.take([told(alertname="PoolFull", pool="default", summary="It is 95% full")])
    assert "It is 95% full." in page(viewer_client, "pool", "kvm3", "default")
    assert "It is 95% full." not in page(viewer_client, "pool", "kvm1", "default")
    assert "It is 95% full." not in page(viewer_client, "pool", "kvm3", "other")
    intake.take([told(ended=True, alertname="PoolFull", pool="default")])
    assert "It is 95% full." not in page(viewer_client, "pool", "kvm3", "default")


def test_a_job_says_that_there_is_an_alert_and_does_not_send_to_itself(operator_client: Client) -> None:
    job, other = JobFactory.create(state="failed"), JobFactory.create(state="failed")
    failed = told(alertname="JobFailed", job_id=str(job.pk), summary="Start web1 failed")
    slow = told(alertname="JobSlow", job_id=str(job.pk), summary="It takes long")
    failed["annotations"]["description"] = "The page of the job says why."
    slow["annotations"]["description"] = "Look at the network."
    intake.take([failed, slow])
    text = page(operator_client, "job", job.pk)
    assert f"{reverse('alerts')}#alert-{Alert.objects.get(rule='JobFailed').pk}" in text
    assert "The page of the job says why." not in text
    assert "Look at the network." in text
    assert ">Job</a>" not in text
    assert "Start web1 failed" not in page(operator_client, "job", other.pk)


def test_the_page_of_a_guest_says_that_its_job_failed_to_those_who_may_see_the_job(
    operator_client: Client, viewer_client: Client
) -> None:
    job = JobFactory.create(state="failed", finished_at=timezone.now())
    [(_, labels, _)] = gauges.jobs()
    alert = told(alertname="JobFailed", summary="Start web1 failed")
    alert["labels"] |= {name: str(value) for name, value in labels.items()}
    intake.take([alert])
    assert "Start web1 failed." in page(operator_client, "guest", job.target_id)
    assert "Start web1 failed." not in page(viewer_client, "guest", job.target_id)


def test_an_alert_leads_to_its_job_while_that_is_there(operator_client: Client) -> None:
    job = JobFactory.create(state="failed")
    intake.take([told(alertname="JobFailed", job_id=str(job.pk), uuid=job.target_id)])
    link = f'href="{reverse("job", args=[job.pk])}"'
    places: list[tuple[Any, ...]] = [("alerts",), ("guest", job.target_id)]
    for place in places:
        assert link in page(operator_client, *place)
    job.delete()
    for place in places:
        assert "kvm3 does not answer" in page(operator_client, *place)
        assert link not in page(operator_client, *place)


ACTIONS: list[tuple[str, tuple[Any, ...], dict[str, str], str]] = [
    ("alert-acknowledge", (1,), {}, "operator"),
    ("alert-silence", (1,), {"hours": "4", "reason": "x"}, "operator"),
    ("silence-end", (1,), {}, "operator"),
    ("alert-receivers", (), {}, "administrator"),
    ("alert-receiver-add", (), {}, "administrator"),
    ("alert-receiver-try", (1,), {}, "administrator"),
    ("alert-receiver-remove", (1,), {}, "administrator"),
]


@pytest.mark.parametrize(("name", "arguments", "fields", "least"), ACTIONS, ids=[action[0] for action in ACTIONS])
def test_who_may_not_is_refused(
    name: str, arguments: tuple[Any, ...], fields: dict[str, str], least: str, anonymous_client: Client,
    nobody_client: Client, viewer_client: Client, help_desk_client: Client, operator_client: Client,
) -> None:  # fmt: skip
    address = reverse(name, args=arguments)
    refused = [nobody_client, viewer_client, help_desk_client, *([operator_client] if least == "administrator" else [])]
    for client in refused:
        assert (client.get if name == "alert-receivers" else client.post)(address, fields).status_code == 403
    assert anonymous_client.post(address, fields).status_code == 302


def add(client: Client, **fields: str) -> Any:
    return client.post(
        reverse("alert-receiver-add"),
        {"name": "chat", "address": "chat@example.org", "least": "warning", **fields},
    )


def test_a_receiver_is_added_tried_and_removed(administrator_client: Client, settings: Settings) -> None:
    settings.SENDS_MAIL = True
    assert "Nobody is told" in page(administrator_client, "alert-receivers")
    add(administrator_client)
    receiver = Receiver.objects.get()
    administrator_client.post(reverse("alert-receiver-try", args=[receiver.pk]))
    text = page(administrator_client, "alert-receivers")
    assert "on its way" in text
    administrator_client.post(reverse("alert-receiver-remove", args=[receiver.pk]))
    assert not Receiver.objects.exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"address": "https://chat.example.org/hook"}, {"address": "a@b.org\nBcc: c@d.org"}, {"address": "nonsense"},
        {"address": "a@b.org, c@d.org"}, {"name": ""}, {"least": "loud"},
    ],
)  # fmt: skip
def test_a_receiver_that_makes_no_sense_is_refused(administrator_client: Client, fields: dict[str, str]) -> None:
    assert add(administrator_client, **fields).status_code == 400
    assert not Receiver.objects.exists()


def test_without_a_mail_server_mail_is_refused(administrator_client: Client) -> None:
    answer = add(administrator_client)
    assert answer.status_code == 409
    assert "VMDASH_EMAIL_URL" in answer.content.decode()

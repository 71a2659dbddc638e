"""The list of jobs, the page of one, and cancelling there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.factories import DomainFactory, HostFactory, JobFactory
from tests.jobs.kinds import registered
from vmdash.access.models import User
from vmdash.jobs.models import Job, JobLine

pytestmark = pytest.mark.django_db

JOBS = reverse("jobs")


def page_of(job: Job) -> str:
    return reverse("job", args=[job.pk])


def cancel_of(job: Job) -> str:
    return reverse("job-cancel", args=[job.pk])


def retry_of(job: Job) -> str:
    return reverse("job-retry", args=[job.pk])


def labels(client: Client, **query: str) -> list[str]:
    response: Any = client.get(JOBS, query)
    assert response.status_code == 200
    return [row.job.label for row in response.context["rows"]]


def test_strangers_are_sent_to_sign_in(anonymous_client: Client) -> None:
    job = JobFactory.create()
    for response in (
        anonymous_client.get(JOBS), anonymous_client.get(page_of(job)), anonymous_client.post(cancel_of(job)),
    ):  # fmt: skip
        assert response.status_code == 302
        assert response["Location"].startswith(reverse("sign-in"))
    assert Job.objects.get().state == "queued"


def test_people_without_a_role_see_no_jobs(nobody_client: Client) -> None:
    job = JobFactory.create()
    assert nobody_client.get(JOBS).status_code == 403
    assert nobody_client.get(page_of(job)).status_code == 403
    assert nobody_client.post(cancel_of(job)).status_code == 403


def test_help_desk_sees_its_own_jobs_only(help_desk_client: Client, help_desk: User) -> None:
    mine = JobFactory.create(requested_by=help_desk, label="Start mine")
    theirs = JobFactory.create(label="Start theirs")
    assert labels(help_desk_client) == ["Start mine"]
    assert help_desk_client.get(page_of(mine)).status_code == 200
    assert help_desk_client.get(page_of(theirs)).status_code == 404
    assert help_desk_client.post(cancel_of(theirs)).status_code == 404
    assert Job.objects.get(pk=theirs.pk).state == "queued"


def test_operators_see_everybodys_jobs(operator_client: Client) -> None:
    job = JobFactory.create(label="Start theirs")
    assert labels(operator_client) == ["Start theirs"]
    assert operator_client.get(page_of(job)).status_code == 200


def test_the_list_is_filtered_by_state_target_and_person(operator_client: Client) -> None:
    web = DomainFactory.create(name="web1")
    JobFactory.create(domain=web, state="failed", label="Start web1")
    JobFactory.create(domain=web, label="Shut down web1")
    JobFactory.create(domain=DomainFactory.create(name="db1", host=HostFactory.create(name="far")), label="Start db1")
    assert labels(operator_client, state="failed") == ["Start web1"]
    assert labels(operator_client, state="unfinished") == ["Start db1", "Shut down web1"]
    assert labels(operator_client, target="WEB") == ["Shut down web1", "Start web1"]
    assert labels(operator_client, target=str(web.pk), state="queued") == ["Shut down web1"]
    assert labels(operator_client, target="far") == ["Start db1"]
    person = Job.objects.get(label="Start db1").requested_by_name
    assert labels(operator_client, person=person) == ["Start db1"]


@pytest.mark.parametrize("query", [{"state": "odd"}, {"target": "x" * 300}])
def test_a_filter_that_makes_no_sense_is_refused(operator_client: Client, query: dict[str, str]) -> None:
    JobFactory.create(label="Start web1")
    response = operator_client.get(JOBS, query)
    assert response.status_code == 400
    assert "Start web1" not in response.text


def test_long_lists_have_pages(operator_client: Client, django_assert_max_num_queries: Callable[..., Any]) -> None:
    domain = DomainFactory.create()
    for number in range(60):
        JobFactory.create(domain=domain, state="succeeded", label=f"Job {number}")
    with django_assert_max_num_queries(15):
        assert labels(operator_client) == [f"Job {number}" for number in range(59, 9, -1)]
    assert labels(operator_client, page="2") == [f"Job {number}" for number in range(9, -1, -1)]
    assert labels(operator_client, page="odd")[0] == "Job 59"


def test_the_page_of_a_job_says_all_about_it(operator_client: Client) -> None:
    job = JobFactory.create(
        state="failed",
        error="Cannot start web1 on kvm1: its disk image is missing. Check the pool.",
        error_detail="<error> code 38",
        virsh="virsh -c qemu:///system start web1",
    )
    JobLine.objects.create(job=job, text="Asking <the> host")
    text = operator_client.get(page_of(job)).text
    for expected in (job.error, "&lt;error&gt; code 38", job.virsh, "Asking &lt;the&gt; host", "failed"):
        assert expected in text
    assert "Cancel</button>" not in text


def test_a_job_that_waits_can_be_cancelled(help_desk_client: Client, help_desk: User) -> None:
    job = JobFactory.create(requested_by=help_desk)
    assert "Cancel</button>" in help_desk_client.get(page_of(job)).text
    response = help_desk_client.post(cancel_of(job), follow=True)
    assert "is cancelled" in response.text
    assert Job.objects.get().state == "cancelled"


def test_a_job_that_began_meanwhile_is_not_cancelled(operator_client: Client) -> None:
    job = JobFactory.create(state="running")
    assert "cannot be cancelled" in operator_client.post(cancel_of(job), follow=True).text
    assert Job.objects.get().state == "running"


def test_there_are_no_jobs_where_none_are(operator_client: Client) -> None:
    assert operator_client.get(f"{JOBS}{uuid4()}/").status_code == 404
    assert operator_client.get(f"{JOBS}odd/").status_code == 404
    assert operator_client.get(cancel_of(JobFactory.create())).status_code == 405
    Job.objects.all().delete()
    assert "No jobs yet" in operator_client.get(JOBS).text
    assert "No job matches" in operator_client.get(JOBS, {"state": "failed"}).text


GIB = 1024**3


def test_a_job_that_transfers_says_how_far_it_is(operator_client: Client) -> None:
    job = JobFactory.create(
        state="running", progress_percent=75, done_bytes=3 * GIB // 2, total_bytes=2 * GIB,
        rate_bytes_per_s=120 * 1024**2, seconds_left=4, phase="Copying vda",
    )  # fmt: skip
    for address in (page_of(job), JOBS):
        text = operator_client.get(address).text
        assert "75 %" in text
        assert "1.5 GiB of 2 GiB · 120 MiB/s · 4 s left" in text
        assert "Copying vda" in text


def test_a_job_that_waits_says_for_what(operator_client: Client) -> None:
    job = JobFactory.create(waiting_for="kvm1 sends two guests already.")
    assert "kvm1 sends two guests already." in operator_client.get(page_of(job)).text


def test_a_job_is_cancelling_until_it_is_undone(operator_client: Client) -> None:
    with registered(cancellable=True):
        job = JobFactory.create(kind="test.kind", state="running")
        text = operator_client.post(cancel_of(job), follow=True).text
        assert "is being cancelled" in text
        assert "cancelling</span>" in text
        assert "Cancel</button>" not in text


def test_cancelling_from_the_panel_needs_no_page(operator_client: Client) -> None:
    job, ended = JobFactory.create(), JobFactory.create(state="succeeded")
    assert operator_client.post(cancel_of(job), headers={"accept": "application/json"}).status_code == 204
    refused = operator_client.post(cancel_of(ended), headers={"accept": "application/json"})
    assert refused.status_code == 409
    assert "cannot be cancelled" in refused.json()["error"]


def test_what_failed_is_tried_again_and_leads_to_the_new_job(help_desk_client: Client, help_desk: User) -> None:
    guest = DomainFactory.create(name="web1", state="shut_off")
    failed = JobFactory.create(domain=guest, state="failed", requested_by=help_desk)
    assert "Try again</button>" in help_desk_client.get(page_of(failed)).text
    response = help_desk_client.post(retry_of(failed))
    again = Job.objects.get(retry_of=failed)
    assert response["Location"] == page_of(again)
    text = help_desk_client.get(page_of(again)).text
    assert page_of(failed) in text
    assert page_of(again) in help_desk_client.get(page_of(failed)).text
    assert "is busy" in help_desk_client.post(retry_of(failed), follow=True).text


def test_what_destroys_something_is_not_tried_again_by_one_click(operator_client: Client) -> None:
    job = JobFactory.create(domain=DomainFactory.create(name="web1"), kind="domain.force_off", state="failed")
    assert "type web1" in operator_client.post(retry_of(job)).text
    assert "not its name" in operator_client.post(retry_of(job), {"confirm": "web"}).text
    assert not Job.objects.filter(retry_of=job).exists()
    operator_client.post(retry_of(job), {"confirm": "web1"})
    assert Job.objects.filter(retry_of=job).exists()


def test_other_peoples_jobs_are_not_tried_again(help_desk_client: Client) -> None:
    assert help_desk_client.post(retry_of(JobFactory.create(state="failed"))).status_code == 404


def test_parts_are_folded_under_their_job(operator_client: Client) -> None:
    whole = JobFactory.create(kind="host.drain", label="Drain kvm1", state="running")
    for number in range(3):
        JobFactory.create(parent=whole, label=f"Move web{number}", state="running" if number else "succeeded")
    response: Any = operator_client.get(JOBS)
    [row] = response.context["rows"]
    assert (row.job, len(row.children), row.parts) == (whole, 3, "1 done, 2 running")
    assert "3 parts: 1 done, 2 running" in response.text
    part = whole.children.first()
    assert part
    assert "Drain kvm1" in operator_client.get(page_of(part)).text
    assert part.label in operator_client.get(page_of(whole)).text


def test_a_filter_finds_parts_too(operator_client: Client) -> None:
    whole = JobFactory.create(kind="host.drain", label="Drain kvm1", state="running")
    JobFactory.create(parent=whole, kind="domain.suspend", label="Suspend web1")
    assert labels(operator_client, kind="domain.suspend") == ["Suspend web1"]
    assert labels(operator_client, state="queued") == ["Suspend web1"]


def test_the_panel_has_ones_own_jobs_of_the_moment(
    help_desk_client: Client, help_desk: User, operator_client: Client
) -> None:
    JobFactory.create(requested_by=help_desk, label="Start mine")
    JobFactory.create(requested_by=help_desk, label="Start lately", state="failed", finished_at=timezone.now())
    old = timezone.now() - timedelta(minutes=11)
    JobFactory.create(requested_by=help_desk, label="Start long ago", state="failed", finished_at=old)
    JobFactory.create(label="Start theirs")
    text = help_desk_client.get(reverse("job-tray")).text
    assert "Start mine" in text
    assert "Start lately" in text
    assert "long ago" not in text
    assert "theirs" not in text
    assert "other people" not in text
    assert "2 of other people" in operator_client.get(reverse("job-tray")).text


def test_the_panel_is_for_those_who_may_see_something(anonymous_client: Client, nobody_client: Client) -> None:
    assert anonymous_client.get(reverse("job-tray")).status_code == 302
    assert nobody_client.get(reverse("job-tray")).status_code == 403


def test_what_cannot_be_tried_again_says_why(operator_client: Client) -> None:
    job = JobFactory.create(state="succeeded")
    assert "cannot be tried again" in operator_client.post(retry_of(job), follow=True).text


def test_the_parts_of_a_job_are_listed_with_it(operator_client: Client) -> None:
    whole = JobFactory.create(label="Drain kvm1", state="running")
    part = JobFactory.create(label="Move web1", parent=whole, state="queued", waiting_for="kvm1 sends two already.")
    text = operator_client.get(page_of(whole)).text
    assert "Move web1" in text
    assert "kvm1 sends two already." in text
    assert "Drain kvm1" in operator_client.get(page_of(part)).text

"""What benchmarks do to the product as a browser would: fill in forms, and wait for the jobs that come of them."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from vmdash.jobs.models import Job

LOOK_S = 0.01


def token(page: httpx.Response) -> str:
    """The token against forgery that forms of the page send along."""
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.raise_for_status().text)
    if found is None:
        raise RuntimeError(f"{page.url} has no form.")
    return found[1]


def post(client: httpx.Client, address: str, fields: dict[str, Any], *, form: str = "") -> httpx.Response:
    """Send the form on the page `form` (by default `address` itself). Raises RuntimeError with what the page said."""
    fields = fields | {"csrfmiddlewaretoken": token(client.get(form or address))}
    return send(client, address, fields)


def send(client: httpx.Client, address: str, fields: dict[str, Any]) -> httpx.Response:
    """The same with a token that is there already. The answer is JSON where the page knows that."""
    headers = {"Referer": str(client.base_url), "Accept": "application/json, text/html;q=0.5"}
    answer = client.post(address, data=fields, headers=headers)
    if answer.is_error:
        said = re.findall(r'class="(?:note bad|errors)".*?</(?:p|ul)>', answer.text, re.DOTALL) or [answer.text[:500]]
        raise RuntimeError(f"{address} answered {answer.status_code}: {' '.join(said)}")
    return answer


def job_on(answer: httpx.Response) -> str:
    """The number of the job whose page the answer led to. Raises RuntimeError with what another page says."""
    if found := re.search(r"/jobs/([0-9a-f-]{36})/\Z", answer.url.path):
        return found[1]
    said = re.findall(r'class="(?:note bad|errors)[^"]*".*?</(?:p|ul|div)>', answer.text, re.DOTALL)
    raise RuntimeError(f"{answer.url} asked for no job: {' '.join(said)}")


def ended(pk: str, deadline_s: float = 240) -> Job:
    """The job, once it has succeeded. Raises RuntimeError with its error, TimeoutError."""
    from vmdash.jobs.models import Job

    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if job := Job.objects.filter(pk=pk).exclude(finished_at=None).first():
            if job.state != Job.State.SUCCEEDED:
                raise RuntimeError(f"{job.label}: {job.error} {job.error_detail}")
            return job
        time.sleep(LOOK_S)
    raise TimeoutError(f"Job {pk} did not end.")

"""Jobs: everything that changes the world."""

from datetime import datetime
from uuid import UUID

from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema, Status

from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.api.checked import checked
from vmdash.api.once import once
from vmdash.api.shapes import Input, Line, Paging, Window, same_named
from vmdash.jobs import services
from vmdash.jobs.forms import JobFilter
from vmdash.jobs.models import Job as Row
from vmdash.jobs.selectors import JobRow, job_row, job_rows, jobs_for
from vmdash.jobs.told import lines_as_told

router = Router(tags=["jobs"])


class Job(Schema):
    id: UUID
    kind: str
    label: str = Field(description="What people read: “Start web1”.")
    state: str = Field(description="queued, running, succeeded, failed, cancelled, lost or reconciled.")
    state_words: str
    is_active: bool = Field(description="It has not ended.")
    target_kind: str
    target_id: str
    target_name: str
    host: str = Field(description="Empty also where you are not told of it: see “People and what they may do”.")
    requested_by: str
    requested_with: str = Field(description="The name of the token, if by one.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    percent: int | None
    phase: str
    waiting_for: str
    done_bytes: int | None
    total_bytes: int | None
    rate_bytes_per_s: int | None
    seconds_left: int | None
    error: str
    error_detail: str
    virsh: str = Field(description="The virsh command that does the same.")
    parent: UUID | None = Field(description="The job that it is a part of.")
    retry_of: UUID | None
    may_cancel: bool
    may_retry: bool

    @classmethod
    def of(cls, row: JobRow) -> "Job":
        job = row.job
        plain = same_named(
            job,
            "id", "kind", "label", "state", "state_words", "target_kind", "target_id", "target_name",
            "created_at", "started_at", "finished_at", "phase", "waiting_for", "done_bytes", "total_bytes",
            "rate_bytes_per_s", "seconds_left", "error", "error_detail", "virsh", "requested_with",
        )  # fmt: skip
        return cls(
            **plain,
            is_active=row.is_active,
            host=job.host_name,
            requested_by=job.requested_by_name,
            percent=row.percent,
            parent=job.parent_id,
            retry_of=job.retry_of_id,
            may_cancel=row.may_cancel,
            may_retry=row.may_retry,
        )


class JobLine(Schema):
    number: int = Field(description="Grows from line to line.")
    at: datetime
    text: str


class JobFilters(Paging):
    state: Line = Field("", description="A state, or `unfinished`.")
    kind: Line = Field("", description="Such as `domain.start`.")
    target: Line = Field("", description="A guest's UUID, or a part of the name of a guest or host.")
    person: Line = Field("", description="Who asked for it.")


class Confirm(Input):
    confirm: Line = Field("", description="The name of its target, where something is destroyed by it.")


class LinesAfter(Schema):
    after: int = Field(0, ge=0, le=2**62, description="Only lines with a greater number.")


def asked_for(request: SignedInRequest, job: Row) -> Status[Job]:
    """The answer to whatever becomes a job."""
    return Status(202, Job.of(job_row(job, request.user)))


@router.get("", response=Window[Job])
@allow(Permission.VIEW)
def list_jobs(request: SignedInRequest, filters: Query[JobFilters]) -> Window[Job]:
    """Your own jobs and, where you may see them, everybody's; newest first. Without a filter, parts of other jobs are
    left out."""
    form = JobFilter(filters.dict(exclude={"offset", "limit"}))
    checked(form)
    found = jobs_for(request.user, **form.conditions())
    rows = job_rows(filters.of(found), request.user, folded=False)
    return Window[Job].out_of([Job.of(row) for row in rows], found.count(), filters)


@router.get("/{uuid:job_id}", response=Job)
@allow(Permission.VIEW)
def get_job(request: SignedInRequest, job_id: UUID) -> Job:
    return Job.of(job_rows([_job(request, job_id)], request.user, folded=False)[0])


@router.get("/{uuid:job_id}/log", response=list[JobLine])
@allow(Permission.VIEW)
def get_job_log(request: SignedInRequest, job_id: UUID, lines: Query[LinesAfter]) -> list[JobLine]:
    """What it has said so far; with `after`, what it has said since."""
    job = _job(request, job_id)
    found = lines_as_told(job, job.lines.filter(pk__gt=lines.after), request.user)
    return [JobLine(number=line.pk, at=line.at, text=line.text) for line in found]


@router.post("/{uuid:job_id}/cancel", response={202: Job})
@allow(Permission.VIEW)
def cancel_job(request: SignedInRequest, job_id: UUID) -> Status[Job]:
    """At once when it has not begun; otherwise it first undoes what it did."""
    found = _job(request, job_id)
    services.cancel(job=found, user=request.user)
    found.refresh_from_db()
    return asked_for(request, found)


@router.post("/{uuid:job_id}/retry", response={202: Job})
@allow(Permission.VIEW)
@once
def retry_job(request: SignedInRequest, job_id: UUID, wish: Confirm) -> Status[Job]:
    """Ask for it once more, with all checks. The answer is the new job."""
    again = services.retry(job=_job(request, job_id), user=request.user, confirm=wish.confirm)
    return asked_for(request, again)


def _job(request: SignedInRequest, job_id: UUID) -> Row:
    return get_object_or_404(Row.objects.visible_to(request.user).select_related("parent", "retry_of"), pk=job_id)

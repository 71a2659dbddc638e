"""The page of the audit trail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.exceptions import BadRequest
from django.core.paginator import Paginator
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from vmdash.access.audit import record
from vmdash.access.guards import SignedInRequest, allow_everywhere
from vmdash.access.models import AuditEntry, AuditHead
from vmdash.access.roles import Permission
from vmdash.access.trail import selectors
from vmdash.access.trail.forms import AuditSearch

PAGE_SIZE = 100


@require_safe
@allow_everywhere(Permission.AUDIT)
def audit(request: SignedInRequest) -> HttpResponse:
    """The entries, newest first. Search and page stand in the URL."""
    form = AuditSearch(request.GET)
    valid = form.is_valid()
    found = selectors.entries(**form.conditions()) if valid else AuditEntry.objects.none()
    context = {
        "form": form,
        "page": Paginator(found, PAGE_SIZE).get_page(request.GET.get("page")),
        "head": AuditHead.objects.filter(pk=AuditHead.ONLY).first(),
        "filtered": any(request.GET.get(name) for name in form.fields),
    }
    return render(request, "audit/list.html", context, status=200 if valid else 400)


@require_safe
@allow_everywhere(Permission.AUDIT)
def export(request: SignedInRequest) -> StreamingHttpResponse:
    """What the search finds, oldest first, one JSON object a line. 400 for a search that makes no sense."""
    form = AuditSearch(request.GET)
    if not form.is_valid():
        raise BadRequest("The search is not right: look at its page.")
    found = selectors.entries(**form.conditions())
    searched = "&".join(f"{name}={request.GET[name]}" for name in form.fields if request.GET.get(name))
    noted = record(user=request.user, action="audit.export", target_kind="audit", detail=searched)
    name = f"audit-{timezone.localtime():%Y%m%d-%H%M%S}.jsonl"
    return StreamingHttpResponse(
        _streamed(selectors.json_lines(found.filter(pk__lt=noted.pk))),
        content_type="application/x-ndjson",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"},
    )


async def _streamed(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Django would put all blocks into memory at once, were they not asynchronous."""
    following = sync_to_async(lambda: next(blocks, b""), thread_sensitive=True)
    while block := await following():
        yield block

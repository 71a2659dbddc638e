"""What monitoring reads: vmdash's own health, and what is known of hosts and guests."""

from __future__ import annotations

from django.core.exceptions import BadRequest
from django.http import HttpResponse
from django.views.decorators.http import require_safe

from hosts.models import Host
from vmdash.access.guards import SignedInRequest, allow_scraper
from vmdash.access.roles import Permission
from vmdash.exceptions import Unavailable
from vmdash.main.health import health as health_text
from vmdash.metrics.query import newest

FORMAT = "text/plain; version=0.0.4; charset=utf-8"


@require_safe
@allow_scraper(Permission.VIEW)
def health(request: SignedInRequest) -> HttpResponse:
    """It answers whatever else is away, and says what is."""
    return HttpResponse(health_text(), content_type=FORMAT)


@require_safe
@allow_scraper(Permission.VIEW)
def fleet(request: SignedInRequest) -> HttpResponse:
    """The newest reading of every counter of hosts and guests; `?host=NAME`, also several, for some hosts alone."""
    names = request.GET.getlist("host")
    known = set(Host.objects.filter(name__in=names).values_list("name", flat=True))
    if unknown := [name for name in names if name not in known]:
        raise BadRequest(f"There is no host {unknown[0][:64]}.")
    try:
        return HttpResponse(newest(names), content_type=FORMAT)
    except Unavailable as error:
        return HttpResponse(f"{error}\n", content_type="text/plain; charset=utf-8", status=503)

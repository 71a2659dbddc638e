"""What load balancers and watchers ask. Anybody may: the answers name parts of vmdash and nothing else."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from vmdash.main.readiness import findings


@require_safe
@never_cache
@login_not_required
def alive(request: HttpRequest) -> HttpResponse:
    """The process lives, whatever is with the others. Who gets no answer starts it anew."""
    return JsonResponse({"alive": True})


@require_safe
@never_cache
@login_not_required
def ready(request: HttpRequest) -> HttpResponse:
    """All that pages need is there. 503 with what fails, otherwise."""
    failed = findings()
    return JsonResponse({"ready": not failed, "failed": failed}, status=503 if failed else 200)

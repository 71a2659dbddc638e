"""The page on which a guest is cloned, or made a template."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from domains.cloning import marking, services
from domains.cloning.forms import CloneForm
from domains.cloning.proposal import Proposal
from domains.models import Domain
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.exceptions import VmdashError


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.CLONE)
def clone(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    """The form, with what would happen. POST with `do=clone` makes it happen, without only shows it."""
    domain = _guest(request, uuid)
    form = CloneForm(domain, request.user, request.POST if request.method == "POST" else None)
    if not form.is_bound:
        form = CloneForm(domain, request.user, form.initial)
    valid = form.is_valid()
    proposal = Proposal(domain, form.wish(request.POST.getlist("mac"))) if valid else None
    if proposal and request.POST.get("do") == "clone":
        try:
            job = services.clone(domain=domain, wish=proposal.wish, user=request.user)
            return redirect("job", job.pk)
        except VmdashError as error:
            messages.error(request, str(error))
    return _show(request, domain, form, proposal, 200 if valid else 400)


@require_POST
@allow(Permission.CLONE)
def template(request: SignedInRequest, uuid: UUID) -> HttpResponse:
    """Make the guest a template (`make=template`), or an ordinary guest again."""
    domain = _guest(request, uuid)
    ask = marking.make_template if request.POST.get("make") == "template" else marking.make_guest
    try:
        job = ask(domain=domain, user=request.user)
        messages.success(request, f"Asked for: {job.label}.")
    except VmdashError as error:
        messages.error(request, str(error))
    return redirect("guest", uuid)


def _show(
    request: SignedInRequest, domain: Domain, form: CloneForm, proposal: Proposal | None, status: int
) -> HttpResponse:
    why_not = marking.why_no_guest(domain) if domain.is_template else marking.why_no_template(domain)
    context = {"domain": domain, "form": form, "proposal": proposal, "why_not": why_not}
    return render(request, "domains/cloning/clone.html", context, status=status)


def _guest(request: HttpRequest, uuid: UUID) -> Domain:
    domain = get_object_or_404(Domain.objects.visible_to(request.user).select_related("host"), pk=uuid)
    check(request, Permission.CLONE, domain)
    return domain

"""The fleet page, signing in and out."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from hosts.models import Host
from vmdash.access.audit import record
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission, can
from vmdash.main.fleet import fleet as fleet_of
from vmdash.main.refusals import note_refusal


@require_safe
@allow(Permission.VIEW)
def fleet(request: SignedInRequest) -> HttpResponse:
    """Every host as a tile; `?site=NAME` shows those of one site."""
    site = request.GET.get("site", "")
    if site and not Host.objects.visible_to(request.user).filter(site__name=site).exists():
        raise Http404(f"There is no site {site[:60]!r}.")
    context = {
        "fleet": fleet_of(request.user, site=site),
        "site": site,
        "site_query": f'site:"{site}"',
        "may_add_hosts": can(request.user, Permission.MANAGE_HOSTS),
    }
    return render(request, "main/fleet.html", context)


class SignIn(LoginView):
    """Both what succeeds and what does not is written to the audit trail."""

    template_name = "main/sign_in.html"
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        record(user=form.get_user(), action="sign_in")
        return super().form_valid(form)

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        note_refusal(name=str(form.data.get("username", "")), address=self.request.META.get("REMOTE_ADDR", ""))
        return super().form_invalid(form)


class SignOut(LogoutView):
    """POST only. Live connections of the session end within two seconds."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            record(user=request.user, action="sign_out")
        return super().post(request, *args, **kwargs)

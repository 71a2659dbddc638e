"""Signing in with a password, signing out, and the page of one's own account."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from allauth.account.views import PasswordChangeView
from allauth.mfa.adapter import get_adapter as mfa_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.views import RemoveWebAuthnView
from allauth.socialaccount.providers.base import AuthProcess
from allauth.socialaccount.providers.openid_connect import views as openid_connect
from allauth.usersessions.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import NON_FIELD_ERRORS, BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.views.decorators.http import require_POST, require_safe
from requests import RequestException

from vmdash.access.audit import record
from vmdash.access.guards import SignedInRequest, for_oneself
from vmdash.access.second_factor import needs_one
from vmdash.main.refusals import note_refusal
from vmdash.main.signon.counted import NO_ADDRESS
from vmdash.main.signon.devices import device
from vmdash.main.signon.home import home_of, wish

log = logging.getLogger(__name__)


class SignIn(LoginView):
    """The first step; django-allauth goes on with the others. What does not succeed is in the audit trail, and so is
    what does (`AccountAdapter`)."""

    template_name = "main/sign_in.html"
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        login = Login(user=user, redirect_url=self.get_redirect_url() or None)
        return perform_password_login(self.request, {"username": user.username}, login)

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        locked = getattr(self.request, "axes_locked_out", False)
        away = form.has_error(NON_FIELD_ERRORS, "directory_away")
        if locked:
            why, status = "locked out after too many wrong passwords", HTTPStatus.TOO_MANY_REQUESTS
        elif away:
            why, status = "the directory did not answer", HTTPStatus.SERVICE_UNAVAILABLE
        else:
            why, status = "wrong name or password", HTTPStatus.OK
        note_refusal(name=str(form.data.get("username", "")), why=why)
        minutes = settings.LOCKOUT_MINUTES if locked else 0
        context = self.get_context_data(form=form, locked_minutes=minutes, directory_away=away)
        return self.render_to_response(context, status=status)

    def get_redirect_url(self) -> str:  # type: ignore[override]  # the stubs have it as in another version
        return wish(super().get_redirect_url())

    def get_default_redirect_url(self) -> str:
        return home_of(self.request.user)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(provider=settings.OIDC_NAME if settings.OIDC_ISSUER else "", **kwargs)


@login_not_required
@require_safe
def sign_in_elsewhere(request: HttpRequest, provider_id: str) -> HttpResponse:
    """To the page of the company's provider, which is asked where that is. It is for signing in, and for no links
    between accounts."""
    if request.GET.get("process", AuthProcess.LOGIN) != AuthProcess.LOGIN:
        raise BadRequest("The provider is for signing in alone.")
    try:
        return openid_connect.login(request, provider_id)
    except (RequestException, ValueError, KeyError) as error:
        log.warning("The OpenID provider %s cannot be used: %s", settings.OIDC_ISSUER, error)
        return render(request, "socialaccount/authentication_error.html", status=502)


class SignOut(LogoutView):
    """POST only. Live connections of the session end within two seconds."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            record(user=request.user, action="sign_out")
            UserSession.objects.filter(session_key=request.session.session_key).delete()
        return super().post(request, *args, **kwargs)


class ChangePassword(PasswordChangeView):
    """Other sessions of the person end, as their passwords are no longer right."""

    template_name = "main/signon/password.html"
    success_url = reverse_lazy("account")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not (request.user.is_authenticated and request.user.has_usable_password()):
            messages.info(request, "Your password is not kept here: change it where you have it from.")
            return redirect("account")
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return response

    def get_form(self, form_class: Any = None) -> Any:
        form = super().get_form(form_class)
        labels = {"oldpassword": "Current password", "password1": "New password", "password2": "Once more"}
        for name, label in labels.items():
            form.fields[name].label = label
            form.fields[name].widget.attrs.pop("placeholder", None)
        form.fields["password1"].help_text = "Ten characters or more; not one that many use, or that is like your name."
        return form

    def form_valid(self, form: Any) -> HttpResponse:
        record(user=self.request.user, action="person.password")
        response: HttpResponse = super().form_valid(form)
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        if "oldpassword" in form.errors:
            user = self.request.user
            note_refusal(name=user.get_username(), why="wrong password, for a new one", user=user)
        response: HttpResponse = super().form_invalid(form)
        return response


class RemovePasskey(RemoveWebAuthnView):
    def form_valid(self, form: Any) -> HttpResponse:
        """django-allauth asks only for the authenticator app whether it may go."""
        if not mfa_adapter().can_delete_authenticator(self.object):
            messages.error(self.request, "Your role needs a second factor: the last one cannot be removed.")
            return redirect("account")
        return super().form_valid(form)


@require_safe
@for_oneself
def account(request: SignedInRequest) -> HttpResponse:
    """Of whoever looks at it, and of nobody else."""
    factors = Authenticator.objects.filter(user=request.user)
    kinds = {factor.type for factor in factors}
    codes = next((factor for factor in factors if factor.type == Authenticator.Type.RECOVERY_CODES), None)
    kept = UserSession.objects.purge_and_list(request.user)
    kept.sort(key=lambda session: session.last_seen_at, reverse=True)
    context = {
        "groups": request.user.groups.order_by("name"),
        "has_app": Authenticator.Type.TOTP in kinds,
        "passkeys": [factor for factor in factors if factor.type == Authenticator.Type.WEBAUTHN],
        "codes_left": len(codes.wrap().get_unused_codes()) if codes else None,
        "needs_one": needs_one(request.user),
        "sessions": [
            (session, device(session.user_agent), "—" if session.ip == NO_ADDRESS else session.ip, session.is_current())
            for session in kept
        ],
    }
    return render(request, "main/signon/account.html", context)


@require_POST
@for_oneself
def end_session(request: SignedInRequest) -> HttpResponse:
    """One of one's own (`session`: its number), or with `others` all but this."""
    mine = UserSession.objects.filter(user=request.user).exclude(session_key=request.session.session_key)
    if "others" not in request.POST:
        number = request.POST.get("session", "")
        if not number.isdecimal() or len(number) > 18:
            raise BadRequest("Say which session is to end.")
        mine = mine.filter(pk=int(number))
    ending = list(mine)
    get_adapter().end_sessions(ending)
    for session in ending:
        record(user=request.user, action="session.end", target_kind="session", target_name=f"from {session.ip}")
    if ending:
        messages.success(request, "Ended. Pages that are open there are signed out within two seconds.")
    else:
        messages.info(request, "That session had ended already.")
    return redirect("account")

"""Signing in and out, and one's own account. Names with an underscore are those that django-allauth looks for."""

from __future__ import annotations

from allauth.account import views as account
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from allauth.socialaccount import views as provider
from allauth.socialaccount.providers.openid_connect import views as oidc
from django.urls import path

from vmdash.access.guards import for_oneself
from vmdash.main.signon import views

urlpatterns = [
    path("sign-in/", views.SignIn.as_view(), name="sign-in"),
    path("sign-in/", views.SignIn.as_view(), name="account_login"),
    path("sign-in/code/", mfa.authenticate, name="mfa_authenticate"),
    path("sign-in/passkey/", webauthn.login_webauthn, name="mfa_login_webauthn"),
    path("sign-in/<slug:provider_id>/", views.sign_in_elsewhere, name="openid_connect_login"),
    path("sign-in/<slug:provider_id>/callback/", oidc.callback, name="openid_connect_callback"),
    path("sign-in/provider/cancelled/", provider.login_cancelled, name="socialaccount_login_cancelled"),
    path("sign-in/provider/error/", provider.login_error, name="socialaccount_login_error"),
    path("sign-out/", views.SignOut.as_view(), name="sign-out"),
    path("sign-out/", views.SignOut.as_view(), name="account_logout"),
    path("account/", views.account, name="account"),
    path("account/", views.account, name="mfa_index"),
    path("account/password/", for_oneself(views.ChangePassword.as_view()), name="account_change_password"),
    path("account/sessions/end/", views.end_session, name="account-session-end"),
    path("account/confirm/", for_oneself(account.reauthenticate), name="account_reauthenticate"),
    path("account/confirm/code/", for_oneself(mfa.reauthenticate), name="mfa_reauthenticate"),
    path("account/confirm/passkey/", for_oneself(webauthn.reauthenticate_webauthn), name="mfa_reauthenticate_webauthn"),
    path("account/app/", for_oneself(totp.activate_totp), name="mfa_activate_totp"),
    path("account/app/remove/", for_oneself(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path("account/codes/", for_oneself(codes.view_recovery_codes), name="mfa_view_recovery_codes"),
    path("account/codes/download/", for_oneself(codes.download_recovery_codes), name="mfa_download_recovery_codes"),
    path("account/codes/new/", for_oneself(codes.generate_recovery_codes), name="mfa_generate_recovery_codes"),
    path("account/", views.account, name="mfa_list_webauthn"),
    path("account/passkeys/add/", for_oneself(webauthn.add_webauthn), name="mfa_add_webauthn"),
    path("account/passkeys/<int:pk>/", for_oneself(webauthn.edit_webauthn), name="mfa_edit_webauthn"),
    path("account/passkeys/<int:pk>/remove/", for_oneself(views.RemovePasskey.as_view()), name="mfa_remove_webauthn"),
]

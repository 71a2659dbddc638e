"""The part of the settings that is about people and how they sign in. `vmdash.settings` takes it in."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from vmdash import env

AUTH_USER_MODEL = "access.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
PASSWORD_RESET_TIMEOUT = 24 * 3600
"""How long a link for a new password works, in seconds."""
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "fleet"
LOGOUT_REDIRECT_URL = "sign-in"

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # turns away who is locked out
    "allauth.account.auth_backends.AuthenticationBackend",
]
LDAP_URL = env.url(
    "VMDASH_LDAP_URL",
    "ldaps://HOST, or ldap://HOST for StartTLS",
    lambda url: url.scheme in {"ldap", "ldaps"} and url.hostname,
)
"""The company's directory; empty: there is none. Without TLS only on this machine."""
LDAP_PEOPLE = env.text("VMDASH_LDAP_PEOPLE", "")
LDAP_NAME = env.text("VMDASH_LDAP_NAME", "uid")
LDAP_GROUPS = env.text("VMDASH_LDAP_GROUPS", "")
LDAP_BIND_DN = env.text("VMDASH_LDAP_BIND_DN", "")
LDAP_BIND_PASSWORD = env.text("VMDASH_LDAP_BIND_PASSWORD", "")
LDAP_CA = env.text("VMDASH_LDAP_CA", "/etc/ssl/certs/ca-certificates.crt")
if LDAP_URL:
    if not LDAP_PEOPLE:
        raise ImproperlyConfigured("VMDASH_LDAP_URL needs VMDASH_LDAP_PEOPLE, such as ou=people,dc=example,dc=org.")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", LDAP_NAME):
        raise ImproperlyConfigured(f"VMDASH_LDAP_NAME is {LDAP_NAME!r}. Write an attribute, such as uid.")
    if not Path(LDAP_CA).is_file():
        raise ImproperlyConfigured(f"VMDASH_LDAP_CA names {LDAP_CA!r}, which is no file. Write one with certificates.")
    AUTHENTICATION_BACKENDS.append("vmdash.main.signon.directory.Directory")
ACCOUNT_ADAPTER = "vmdash.main.signon.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_UNIQUE_EMAIL = False
"""Nobody is known by a mail address, so two people may share one."""
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
LOCKOUT_FAILURES = env.integer("VMDASH_LOCKOUT_FAILURES", 5, least=1, most=1000)
"""So many wrong passwords for a name from an address, and it is turned away from there for a while."""
LOCKOUT_MINUTES = env.integer("VMDASH_LOCKOUT_MINUTES", 15, least=1, most=10_080)
AXES_FAILURE_LIMIT = LOCKOUT_FAILURES
AXES_COOLOFF_TIME = timedelta(minutes=LOCKOUT_MINUTES)
AXES_CLIENT_IP_CALLABLE = "vmdash.main.signon.counted.client_address"
AXES_USERNAME_CALLABLE = "vmdash.main.signon.counted.counted_name"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True  # the audit trail has it
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
SECOND_FACTOR_FROM = env.choice(
    "VMDASH_SECOND_FACTOR_FROM", "NOBODY", ("NOBODY", "VIEWER", "HELP_DESK", "OPERATOR", "ADMINISTRATOR")
).lower()
"""Whoever has this role or a higher one, anywhere, needs a second factor."""
MFA_ADAPTER = "vmdash.main.signon.adapters.SecondFactorAdapter"
MFA_FORMS = {
    "authenticate": "vmdash.main.signon.forms.CodeForm",
    "reauthenticate": "vmdash.main.signon.forms.ConfirmCodeForm",
    "authenticate_webauthn": "vmdash.main.signon.forms.PasskeyForm",
    "reauthenticate_webauthn": "vmdash.main.signon.forms.ConfirmPasskeyForm",
    "login_webauthn": "vmdash.main.signon.forms.PasskeyAloneForm",
    "add_webauthn": "vmdash.main.signon.forms.AddPasskeyForm",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_TOTP_ISSUER = "vmdash"
MFA_TOTP_TOLERANCE = 1
OIDC_ISSUER = env.url(
    "VMDASH_OIDC_ISSUER",
    "https://NAME/realms/COMPANY",
    # What it says is believed because of the connection that it comes by.
    lambda url: url.hostname and (url.scheme == "https" or url.hostname in {"127.0.0.1", "localhost"}),
).rstrip("/")
OIDC_NAME = env.text("VMDASH_OIDC_NAME", "single sign-on")
"""What the button says: "Sign in with …"."""
OIDC_CLIENT_ID = env.text("VMDASH_OIDC_CLIENT_ID", "")
OIDC_CLIENT_SECRET = env.text("VMDASH_OIDC_CLIENT_SECRET", "")
OIDC_SCOPES = env.words("VMDASH_OIDC_SCOPES", "openid,profile,email")
OIDC_GROUPS_CLAIM = env.text("VMDASH_OIDC_GROUPS_CLAIM", "groups")
if OIDC_ISSUER and not OIDC_CLIENT_ID:
    raise ImproperlyConfigured("VMDASH_OIDC_ISSUER needs VMDASH_OIDC_CLIENT_ID: what the provider knows vmdash by.")
SOCIALACCOUNT_ADAPTER = "vmdash.main.signon.adapters.ProviderAdapter"
SOCIALACCOUNT_LOGIN_ON_GET = True  # a form that leads elsewhere would be against the content security policy
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "SCOPE": OIDC_SCOPES,
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "oidc",
                "name": OIDC_NAME,
                "client_id": OIDC_CLIENT_ID,
                "secret": OIDC_CLIENT_SECRET,
                "settings": {"server_url": OIDC_ISSUER},
            }
        ]
        if OIDC_ISSUER
        else [],
    }
}

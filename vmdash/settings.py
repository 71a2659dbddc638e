"""The settings of vmdash. Each comes from the environment; README.md lists them all."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, quote
from zoneinfo import available_timezones

import environ
from cryptography.fernet import Fernet
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from vmdash import env
from vmdash.lab.layout import Lab
from vmdash.signing_in import *  # noqa: F403  (settings)

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("VMDASH_DATA_DIR", str(BASE_DIR / "var"))).absolute()
SECRETS_DIR = DATA_DIR / "secrets"
RUNTIME_DIR = Path(env.text("VMDASH_RUNTIME_DIR", str(DATA_DIR / "run"))).absolute()
"""Private files of running processes: materialised keys, SSH wrappers, tunnel sockets."""

if DATA_DIR.exists():
    env.private_directory(DATA_DIR)  # the database has sessions and password hashes
DEBUG = env.boolean("VMDASH_DEBUG", False)
SECRET_KEY = env.secret("VMDASH_SECRET_KEY", SECRETS_DIR)
ENCRYPTION_KEYS = [
    key.strip()
    for key in env.secret("VMDASH_ENCRYPTION_KEYS", SECRETS_DIR, lambda: Fernet.generate_key().decode()).split(",")
]
"""Fernet keys for secrets at rest: the first encrypts, all decrypt."""
for key in ENCRYPTION_KEYS:
    try:
        Fernet(key)
    except ValueError as error:
        raise ImproperlyConfigured(
            "VMDASH_ENCRYPTION_KEYS has a key that is none: write 32 random bytes in URL-safe base64, by commas."
        ) from error

_WS, _HTTP = {"ws", "wss"}, {"http", "https"}


def _is_http(url: SplitResult) -> bool:
    return bool(url.scheme in _HTTP and url.hostname)


def _is_redis(url: SplitResult) -> bool:
    return bool(url.hostname if url.scheme in {"redis", "rediss"} else url.scheme == "unix" and url.path)


def _is_database(url: SplitResult) -> bool:
    return url.scheme in {"postgres", "postgresql", "sqlite"} and len(url.path) > 1


def _is_syslog(url: SplitResult) -> bool:
    return bool(url.hostname) if url.scheme in {"udp", "tcp"} else url.scheme == "unix" and len(url.path) > 1


# --- where the processes meet -----------------------------------------------------------------
WEB_LISTEN = env.listen("VMDASH_WEB_LISTEN", "127.0.0.1:8000")
WEB_PROCESSES = env.integer("VMDASH_WEB_PROCESSES", 2, least=1, most=64)
"""They share what comes in. In one, whoever waits for a page waits for the live figures of everybody's, too."""
CONSOLE_LISTEN = env.listen("VMDASH_CONSOLE_LISTEN", "127.0.0.1:6080")
CONSOLE_URL = env.url("VMDASH_CONSOLE_URL", "wss://NAME/console/", lambda url: url.scheme in _WS and url.hostname)
"""The WebSocket address of the console gateway as a browser reaches it; empty: the page's own
host name with the port of CONSOLE_LISTEN."""
CONSOLE_SESSIONS = env.integer("VMDASH_CONSOLE_SESSIONS", 200, least=1, most=10_000)
"""Consoles that may be open at once; each is a process of the gateway."""
TRANSFER_LISTEN = env.listen("VMDASH_TRANSFER_LISTEN", "127.0.0.1:6081")
TRANSFER_URL = env.text("VMDASH_TRANSFER_URL", "").rstrip("/")
"""The address of the transfer gateway as a browser reaches it; empty: the page's own host name with the port of
TRANSFER_LISTEN."""
TRANSFERS = env.integer("VMDASH_TRANSFERS", 50, least=1, most=10_000)
"""Uploads and downloads that may be under way at once; each is a thread of the gateway."""
UPLOAD_PATIENCE_S = env.integer("VMDASH_UPLOAD_PATIENCE_S", 3600, least=10, most=604_800)
"""An upload of which nothing comes for so long is ended, and what came is deleted."""
REDIS_PORT = env.integer("VMDASH_REDIS_PORT", 6390, least=1, most=65535)
TSDB_PORT = env.integer("VMDASH_TSDB_PORT", 8490, least=1, most=65535)
REDIS_PASSWORD = env.secret("VMDASH_REDIS_PASSWORD", SECRETS_DIR)
REDIS_URL = (
    env.url("REDIS_URL", "redis://:PASSWORD@HOST:6379/0", _is_redis)
    or f"redis://:{quote(REDIS_PASSWORD, safe='')}@127.0.0.1:{REDIS_PORT}/0"
)
TSDB_URL = env.url("VMDASH_TSDB_URL", "http://HOST:8428", _is_http) or f"http://127.0.0.1:{TSDB_PORT}"
"""Where the history is read from."""
TSDB_WRITE_URL = env.url("VMDASH_TSDB_WRITE_URL", "http://HOST:8429", _is_http) or TSDB_URL
"""Where it is written to: the store itself, or what stands before it and takes what VictoriaMetrics would."""
EMBEDDED_REDIS = not env.text("REDIS_URL", "")
EMBEDDED_TSDB = not env.text("VMDASH_TSDB_URL", "")
"""Embedded: `manage.py run` starts and stops a private process for it."""

ALERT_TOKEN = env.secret("VMDASH_ALERT_TOKEN", SECRETS_DIR)
"""What vmalert shows when it hands alerts over."""
ALERT_RULES = env.text("VMDASH_ALERT_RULES", "")
"""A path or pattern of files with rules of your own, beside those that come with vmdash."""
ALERT_PORT = env.integer("VMDASH_ALERT_PORT", 8491, least=1, most=65535)
"""Where vmalert's own pages are, on the loopback interface."""
ALERT_INTERVAL_S = env.integer("VMDASH_ALERT_INTERVAL_S", 15, least=1, most=3600)
"""How often rules are evaluated."""

DATABASE_URL = (
    env.url("DATABASE_URL", "postgres://USER:PASSWORD@HOST/NAME", _is_database)
    or f"sqlite:///{DATA_DIR / 'vmdash.sqlite3'}"
)
DATABASES = {"default": environ.Env.db_url_config(DATABASE_URL)}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        # Writers wait for each other instead of failing; readers never wait (WAL).
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000;",
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

# --- moving guests ----------------------------------------------------------------------------
MIGRATIONS_PER_HOST = env.integer("VMDASH_MIGRATIONS_PER_HOST", 2, least=1, most=64)
"""So many guests at once may leave a host, and as many arrive; more would only slow each other down."""

# --- collecting -------------------------------------------------------------------------------
FAST_INTERVAL_S = env.integer("VMDASH_FAST_INTERVAL_S", 2, least=1, most=3600)
SLOW_INTERVAL_S = env.integer("VMDASH_SLOW_INTERVAL_S", 10, least=2, most=3600)
PLACES_INTERVAL_S = 30
"""How often the collector looks where vCPUs are, and how NUMA cells do, on hosts with several. With more than 10,000
guests more seldom, where no page is open (`hosts.collector.crowd`)."""
SWEEP_INTERVAL_S = env.integer("VMDASH_SWEEP_INTERVAL_S", 55, least=2, most=3600)
"""How often everything on a host is read anew, to correct what events missed (seen within 60 s, as long as a collector
has no more than 10,000 guests: `hosts.collector.crowd`)."""
STORAGE_INTERVAL_S = env.integer("VMDASH_STORAGE_INTERVAL_S", 300, least=2, most=86_400)
"""How often the volumes of each pool are read anew, besides whenever something changes there."""
CALL_DEADLINE_S = env.integer("VMDASH_CALL_DEADLINE_S", 8, least=2, most=600)
"""A libvirt call of the collector that takes longer makes its host unreachable."""
LEASE_S = env.integer("VMDASH_LEASE_S", 8, least=3, most=600)
MAX_STUCK_THREADS = env.integer("VMDASH_MAX_STUCK_THREADS", 64, least=1, most=10_000)
"""A collector with more threads that hang in libvirt than this hands its hosts over and ends, to be started anew."""

HISTORY_SPOOL_MIB = env.integer("VMDASH_HISTORY_SPOOL_MIB", 8192, least=1, most=10_000_000)
"""So much of the history may wait on disk, compressed, while its store is away."""

METRICS_TOKEN = env.text("VMDASH_METRICS_TOKEN", "")
"""With it monitoring may read /metrics; empty: only people who are signed in."""
if METRICS_TOKEN and len(METRICS_TOKEN) < 16:
    raise ImproperlyConfigured("VMDASH_METRICS_TOKEN is short enough to be guessed. Write 16 characters or more.")

# --- API --------------------------------------------------------------------------------------
API_REQUESTS_PER_MINUTE = env.integer("VMDASH_API_REQUESTS_PER_MINUTE", 600, least=1, most=1_000_000)
"""So often a token may be used."""

# --- clean-up ---------------------------------------------------------------------------------
JOB_RETENTION_DAYS = env.integer("VMDASH_JOB_RETENTION_DAYS", 365, least=1, most=36_500)
"""How long jobs that have ended are kept."""
EVENT_RETENTION_DAYS = env.integer("VMDASH_EVENT_RETENTION_DAYS", 400, least=1, most=36_500)
"""How long it is kept when guests and hosts changed their states."""
AUDIT_RETENTION_DAYS = env.integer("VMDASH_AUDIT_RETENTION_DAYS", 0, least=0, most=36_500)
"""How long entries of the audit trail are kept; 0: for ever."""

# --- audit ------------------------------------------------------------------------------------
SYSLOG_URL = env.url("VMDASH_SYSLOG_URL", "udp://HOST:514, tcp://HOST:601 or unix:///dev/log", _is_syslog)
"""Where entries of the audit trail are sent to; empty: nowhere."""
TRUSTED_PROXIES = env.networks("VMDASH_TRUSTED_PROXIES")
"""From these addresses X-Forwarded-For is believed and, where there are any, from them alone X-Forwarded-Proto."""

# --- webhooks ---------------------------------------------------------------------------------
WEBHOOK_NETWORKS = env.networks("VMDASH_WEBHOOK_NETWORKS")
"""Private addresses that webhooks may have; public ones always may, link-local and metadata addresses never."""

# --- mail -------------------------------------------------------------------------------------
EMAIL_URL = env.url(
    "VMDASH_EMAIL_URL",
    "smtp+tls://USER:PASSWORD@HOST:587",
    lambda url: url.scheme in {"smtp", "smtp+tls", "smtp+ssl"} and url.hostname,
)
SENDS_MAIL = bool(EMAIL_URL)
"""Without the address of a mail server nothing is sent, and pages do not offer it."""
globals().update(environ.Env.email_url_config(EMAIL_URL or "dummymail://"))
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.text("VMDASH_EMAIL_FROM", "vmdash@localhost")
PUBLIC_URL = env.url("VMDASH_PUBLIC_URL", "https://NAME", _is_http).rstrip("/")
"""Where people reach the pages; for links in mail."""

# --- snapshots --------------------------------------------------------------------------------
SNAPSHOT_NAME = env.pattern(
    "VMDASH_SNAPSHOT_NAME",
    "{guest}-{date}-{time}-{note}",
    fields=("guest", "date", "time", "note"),
    needed=("date", "time"),
)
"""What snapshots are called: GUEST-YYYYMMDD-HHMMSS-note."""

# --- clones -----------------------------------------------------------------------------------
MAC_PREFIX = env.mac_prefix("VMDASH_MAC_PREFIX", "52:54:00")
"""How the MAC addresses of clones begin. 52:54:00 is what QEMU's guests have."""

# --- Django -----------------------------------------------------------------------------------
INSTALLED_APPS = [
    "vmdash.access",
    "vmdash.webhooks",
    "vmdash.jobs",
    "vmdash.alerts",
    "vmdash.live",
    "vmdash.metrics",
    "vmdash.lab",
    "hosts",
    "storage",
    "domains",
    "vmdash.api",
    "vmdash.main",
    "channels",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "axes",
    "ninja",  # the files of the page about the API
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "vmdash.access.middleware.ProxyHeaders",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "vmdash.access.middleware.AuditTrail",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "vmdash.main.middleware.RefuseControlCharacters",
    "vmdash.main.signon.middleware.TellOfRedis",
    "vmdash.main.signon.middleware.NoteSession",
    "vmdash.main.signon.middleware.RequireSecondFactor",
    "vmdash.main.middleware.NoteGuessing",
]
ROOT_URLCONF = "vmdash.urls"
ASGI_APPLICATION = "vmdash.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "vmdash.main.context.shell",
            ],
        },
    }
]
# --- signing in: the rest is in vmdash/signing_in.py ------------------------------------------
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}
"""How often a code was tried, and which was used: known to every web process."""
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = DEBUG
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = env.text("VMDASH_TIME_ZONE", "UTC")
if TIME_ZONE not in available_timezones():
    raise ImproperlyConfigured(f"VMDASH_TIME_ZONE is {TIME_ZONE!r}. Write a time zone such as Europe/Zurich.")
LANGUAGE_CODE = "en"

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        # In version 3 of the protocol redis-py writes out each message, some kilobytes, for a log that nobody reads.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "protocol": 2}], "prefix": "vmdash"},
    }
}

# --- files for the browser --------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.text("VMDASH_STATIC_DIR", str(DATA_DIR / "static"))).absolute()
"""Where the files for browsers are gathered; a proxy in front may serve them from there."""
STATICFILES_DIRS = [
    BASE_DIR / "static",
    ("novnc/core", BASE_DIR / "node_modules/@novnc/novnc/core"),
    ("novnc/vendor", BASE_DIR / "node_modules/@novnc/novnc/vendor"),
    ("xterm/lib", BASE_DIR / "node_modules/@xterm/xterm/lib"),
    ("xterm/css", BASE_DIR / "node_modules/@xterm/xterm/css"),
    ("xterm/fit", BASE_DIR / "node_modules/@xterm/addon-fit/lib"),
    ("uplot", BASE_DIR / "node_modules/uplot/dist"),
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "vmdash.main.staticfiles.HashedStorage"},
}

# --- security ---------------------------------------------------------------------------------
ALLOWED_HOSTS = env.words("VMDASH_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
if "*" not in ALLOWED_HOSTS and "127.0.0.1" not in ALLOWED_HOSTS:
    ALLOWED_HOSTS.append("127.0.0.1")  # vmalert hands alerts over from this machine
CSRF_TRUSTED_ORIGINS = env.words("VMDASH_TRUSTED_ORIGINS")
TLS = env.boolean("VMDASH_TLS", False)
"""People reach vmdash over https (a proxy ends TLS): cookies are secure and HSTS is sent."""
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TLS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
if TLS:  # browsers take cookies of these names from this very host name, over https, and from nobody else
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
SESSION_COOKIE_AGE = 12 * 3600
SECURE_HSTS_SECONDS = 31_536_000 if TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = False
"""Our name alone: what else lives below it, and browsers' lists, are not ours to decide about."""
SILENCED_SYSTEM_CHECKS = [
    "security.W005",
    "security.W021",
    "axes.W002",
]  # the sign-in page says itself who is locked out
SECURE_SSL_REDIRECT = TLS
SECURE_REDIRECT_EXEMPT = [r"^alerts/receive/", r"^(healthz|readyz)$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TLS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        # With a slash at its end an address stands for everything below it.
        "connect-src": [
            SELF,
            f"{CONSOLE_URL.rstrip('/')}/" if CONSOLE_URL else f"ws://*:{CONSOLE_LISTEN[1]}",
            f"{TRANSFER_URL.rstrip('/')}/" if TRANSFER_URL else f"http://*:{TRANSFER_LISTEN[1]}",
        ],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

LOG_LEVEL = env.choice("VMDASH_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "vmdash.log_lines.OneLine",
            "format": "{asctime} {levelname} {name}: {message}",
            "style": "{",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {"httpx": {"level": "WARNING"}, "axes": {"level": "WARNING"}},  # they note every request and sign-in
}

Lab.from_environment()  # its variables are read when it is needed, and so become known
env.refuse_unknown()

"""The environment is read strictly: by every process, and with a sentence that says what is wrong."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from vmdash import env

ROOT = Path(__file__).parent.parent.parent
OURS = ("VMDASH_", "REDIS_", "DATABASE_")
LOAD = ("-c", "import vmdash.settings")


def start(directory: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What a process that loads the settings says, and how it ends."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return subprocess.run(
        [sys.executable, *(command or LOAD)],
        cwd=ROOT,
        env={**clean, "VMDASH_DATA_DIR": str(directory), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("VMDASH_LOG_LEVEL", "LOUD", "Write one of DEBUG, INFO"),
        ("DATABASE_URL", "foo", "postgres://USER"),
        ("DATABASE_URL", "mysql://a/b", "postgres://USER"),
        ("REDIS_URL", "foo", "redis://"),
        ("REDIS_URL", "redis://host:port/0", "redis://"),
        ("VMDASH_TSDB_URL", "localhost:80", "http://HOST"),
        ("VMDASH_TSDB_WRITE_URL", "vmagent:8429", "http://HOST"),
        ("VMDASH_CONSOLE_URL", "https://name/console", "wss://NAME"),
        ("VMDASH_ENCRYPTION_KEYS", "abc", "base64"),
        ("VMDASH_EMAIL_URL", "mail.example.org", "smtp+tls://USER"),
        ("VMDASH_PUBLIC_URL", "fleet.example", "https://NAME"),
        ("VMDASH_OIDC_ISSUER", "http://login.example.org", "https://NAME"),
        ("VMDASH_OIDC_ISSUER", "https://login.example.org", "VMDASH_OIDC_CLIENT_ID"),
        ("VMDASH_LDAP_URL", "http://ldap.example.org", "ldaps://HOST"),
        ("VMDASH_LDAP_URL", "ldaps://ldap.example.org", "VMDASH_LDAP_PEOPLE"),
        ("VMDASH_SECOND_FACTOR_FROM", "boss", "Write one of"),
        ("VMDASH_TIME_ZONE", "Mars/Olympus", "Europe/Zurich"),
        ("VMDASH_FAST_INTERVALL_S", "3", "Did you mean VMDASH_FAST_INTERVAL_S?"),
    ],
)
def test_what_makes_no_sense_stops_the_start(tmp_path: Path, variable: str, value: str, told: str) -> None:
    ended = start(tmp_path, "manage.py", "check", **{variable: value})
    assert ended.returncode == 1
    assert variable in ended.stderr
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "sqlite:////srv/vmdash.sqlite3"),
        ("DATABASE_URL", "postgres:///vmdash?host=/run/postgresql"),
        ("REDIS_URL", "unix:///run/redis.sock"),
        ("VMDASH_LOG_LEVEL", "debug"),
        ("VMDASH_LAB_KEEP", "1"),
    ],
)
def test_what_makes_sense_does_not(tmp_path: Path, variable: str, value: str) -> None:
    ended = start(tmp_path, **{variable: value})
    assert ended.returncode == 0, ended.stderr


def test_the_mail_server_is_taken_from_its_address(tmp_path: Path) -> None:
    show = (
        "import vmdash.settings as s;"
        "print(s.SENDS_MAIL, s.EMAIL_HOST, s.EMAIL_PORT, s.EMAIL_HOST_USER, s.EMAIL_HOST_PASSWORD, s.EMAIL_USE_TLS)"
    )
    told = start(tmp_path, "-c", show, VMDASH_EMAIL_URL="smtp+tls://ada:s%40crt@mail.example.org:587").stdout.split()
    assert told == ["True", "mail.example.org", "587", "ada", "s@crt", "True"]
    assert start(tmp_path, "-c", "import vmdash.settings as s; print(s.SENDS_MAIL)").stdout.strip() == "False"


def test_history_is_written_where_it_is_read_unless_another_place_is_named(tmp_path: Path) -> None:
    def told(**variables: str) -> list[str]:
        show = "import vmdash.settings as s; print(s.TSDB_URL, s.TSDB_WRITE_URL)"
        return start(tmp_path, "-c", show, **variables).stdout.split()

    assert told() == ["http://127.0.0.1:8490"] * 2
    store, relay = "http://store:8428", "http://vmagent:8429"
    assert told(VMDASH_TSDB_URL=store) == [store, store]
    assert told(VMDASH_TSDB_URL=store, VMDASH_TSDB_WRITE_URL=relay) == [store, relay]


def test_a_misspelt_name_stops_every_process(tmp_path: Path) -> None:
    ended = start(tmp_path, "-m", "celery", "--app", "vmdash.celery", "report", VMDASH_LOGLEVEL="INFO")
    assert ended.returncode != 0
    assert "Did you mean VMDASH_LOG_LEVEL?" in ended.stderr


def test_a_variable_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    assert start(tmp_path, VMDASH_SECRET_KEY_FILE=str(tmp_path / "key")).returncode == 0


def test_nobody_else_looks_into_the_data_directory(tmp_path: Path) -> None:
    """Whether vmdash makes it or finds it."""
    new, old = tmp_path / "new/data", tmp_path / "old"
    old.mkdir(mode=0o755)
    for directory in (new, old):
        assert start(directory).returncode == 0
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE((directory / "secrets").stat().st_mode) == 0o700


def test_a_secret_that_cannot_be_read_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "secrets/secret_key").mkdir(parents=True)  # as unreadable as another user's file, for root too
    with pytest.raises(ImproperlyConfigured, match=r"cannot be read or made: .*VMDASH_DATA_DIR"):
        env.secret("VMDASH_SECRET_KEY", tmp_path / "secrets")


@pytest.mark.parametrize("address", ["wss://fleet.example/console", "wss://fleet.example/console/"])
def test_the_policy_lets_consoles_through_however_their_address_ends(tmp_path: Path, address: str) -> None:
    show = "import vmdash.settings as s; print(s.CONTENT_SECURITY_POLICY['DIRECTIVES']['connect-src'][1])"
    assert start(tmp_path, "-c", show, VMDASH_CONSOLE_URL=address).stdout.strip() == "wss://fleet.example/console/"


def test_tls_decides_about_this_name_alone(tmp_path: Path) -> None:
    show = "import vmdash.settings as s; print(s.SECURE_HSTS_INCLUDE_SUBDOMAINS, s.SECURE_HSTS_PRELOAD)"
    assert start(tmp_path, "-c", show, VMDASH_TLS="yes").stdout.split() == ["False", "False"]

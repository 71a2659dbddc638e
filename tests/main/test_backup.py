"""Backup and restore of vmdash itself, on the database of the test run: SQLite or PostgreSQL."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from hosts.collector.leases import Leases
from hosts.models import Credential, Host
from tests.api.caller import Caller
from tests.factories import CredentialFactory, DomainFactory, HostFactory, JobFactory
from vmdash.access.audit import record
from vmdash.access.models import AuditEntry, User
from vmdash.api.models import Token
from vmdash.jobs.models import Job
from vmdash.live.redis import async_client
from vmdash.main.backup.keys import fingerprint
from vmdash.webhooks.models import Delivery, Event, Kind, Webhook

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "the-password-of-kvm1"


@pytest.fixture
def full(operator: User) -> User:
    """A database with something of everything."""
    host = HostFactory.create(name="kvm1", credential=CredentialFactory.create(name="keys", password=SECRET))
    DomainFactory.create(name="web1", host=host)
    JobFactory.create(label="Start web1", state=Job.State.SUCCEEDED)
    Client().force_login(operator)
    for number in range(3):
        record(user=operator, action="host.change", target_name=f"kvm{number}", detail="é, line\nand 'quotes'")
    return operator


@pytest.fixture
def made(full: User, tmp_path: Path) -> Path:
    file = tmp_path / "vmdash.backup"
    backup(file)
    return file


def backup(file: Path, *options: str) -> str:
    output = io.StringIO()
    call_command("backup", str(file), *options, stdout=output)
    return output.getvalue()


def restore(file: Path, *options: str) -> str:
    output = io.StringIO()
    call_command("restore", str(file), *options, stdout=output)
    return output.getvalue()


def tables() -> list[str]:
    with connection.cursor() as cursor:
        return connection.introspection.table_names(cursor)


def lose_all() -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA foreign_keys=OFF")
        for table in tables():
            cascade = "" if connection.vendor == "sqlite" else "CASCADE"
            cursor.execute(f"DROP TABLE IF EXISTS {connection.ops.quote_name(table)} {cascade}")
    connection.close()
    assert tables() == []


def everything() -> dict[str, list[Any]]:
    return {
        "people": list(User.objects.order_by("pk").values()),
        "hosts": list(Host.objects.order_by("pk").values()),
        "secrets": list(Credential.objects.values_list("name", "password")),
        "jobs": list(Job.objects.order_by("pk").values()),
        "audit": list(AuditEntry.objects.filter(action="host.change").order_by("pk").values()),
    }


def verified() -> str:
    output = io.StringIO()
    call_command("audit", "verify", stdout=output)
    return output.getvalue()


def content(file: Path, member: str) -> bytes:
    with tarfile.open(file) as archive:
        stream = archive.extractfile(member)
        assert stream is not None
        return stream.read()


def test_after_a_total_loss_everything_is_there_and_the_trail_is_whole(made: Path) -> None:
    before = everything()
    lose_all()
    assert "Everybody has to sign in anew" in restore(made)
    assert everything() == before
    assert before["secrets"] == [("keys", SECRET)]
    assert "is whole" in verified()
    assert AuditEntry.objects.filter(action="backup.restore", detail__contains="vmdash.backup").exists()
    assert HostFactory.create(name="new").pk not in {host["id"] for host in before["hosts"]}


def test_sessions_and_waiting_jobs_of_that_time_do_not_come_back(full: User, tmp_path: Path) -> None:
    waiting = JobFactory.create(state=Job.State.QUEUED)
    running = JobFactory.create(state=Job.State.RUNNING)
    assert Session.objects.exists()
    backup(tmp_path / "file")
    restore(tmp_path / "file", "--force")
    assert not Session.objects.exists()
    waiting.refresh_from_db()
    running.refresh_from_db()
    assert (waiting.state, running.state) == (Job.State.FAILED, Job.State.RUNNING)
    assert "restored from a backup" in waiting.error


def test_tokens_and_messages_to_webhooks_of_that_time_do_not_come_back(full: User, tmp_path: Path) -> None:
    script = Caller(full)
    webhook = Webhook.objects.create(owner=full, name="desk", url="https://desk.example.org/", secret="whsec_x")
    waiting, new = (Event.objects.create(kind=Kind.TEST, at=timezone.now(), handed=handed) for handed in (True, False))
    delivery = Delivery.objects.create(webhook=webhook, event=waiting, due_at=timezone.now())
    backup(tmp_path / "file")
    script.token.delete()
    said = restore(tmp_path / "file", "--force")
    assert "All tokens have ended" in said
    assert script.get("/hosts").status_code == 401
    assert not Token.objects.exists()
    assert AuditEntry.objects.get(action="backup.restore").detail.endswith("1 tokens ended")
    delivery.refresh_from_db()
    new.refresh_from_db()
    assert delivery.given_up_at and "restored from a backup" in delivery.error
    assert new.handed and not new.deliveries.exists()


def test_data_that_is_there_is_lost_only_with_force(made: Path) -> None:
    HostFactory.create(name="newer")
    with pytest.raises(CommandError, match=r"holds data already .*--force"):
        restore(made)
    assert Host.objects.filter(name="newer").exists()
    restore(made, "--force")
    assert not Host.objects.filter(name="newer").exists()
    assert Host.objects.filter(name="kvm1").exists()


def test_a_database_that_was_only_prepared_is_empty(made: Path) -> None:
    lose_all()
    call_command("migrate", verbosity=0, interactive=False)
    restore(made)
    assert Host.objects.filter(name="kvm1").exists()


def test_tables_that_a_newer_version_made_go(made: Path) -> None:
    """Those of a version that was tried and given up: making them anew would fail."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE of_the_future (id integer)")
    restore(made, "--force")
    assert "of_the_future" not in tables()


def test_it_needs_the_key_and_has_it_only_on_request(full: User, tmp_path: Path, settings: Settings) -> None:
    (key,) = settings.ENCRYPTION_KEYS
    said = backup(tmp_path / "plain")
    assert fingerprint(key) in said
    whole = (tmp_path / "plain").read_bytes() + gzip.decompress(content(tmp_path / "plain", "database"))
    assert key.encode() not in whole
    assert SECRET.encode() not in whole
    assert "Keep it as you keep passwords" in backup(tmp_path / "with-keys", "--with-keys")
    assert content(tmp_path / "with-keys", "encryption-keys").decode().strip() == key

    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(CommandError, match=rf"fingerprint {fingerprint(key)}.*Add it there"):
        restore(tmp_path / "plain", "--force")
    with pytest.raises(CommandError, match=r"The backup has it: tar --extract"):
        restore(tmp_path / "with-keys", "--force")
    settings.ENCRYPTION_KEYS.append(key)
    restore(tmp_path / "plain", "--force")
    assert everything()["secrets"] == [("keys", SECRET)]


def test_a_secret_that_nothing_reads_is_told_when_there_is_still_time(
    full: User, tmp_path: Path, settings: Settings
) -> None:
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(CommandError, match=r"Credential\.password"):
        backup(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_the_key_of_second_factors_is_needed_too(operator: User, tmp_path: Path, settings: Settings) -> None:
    (key,) = settings.ENCRYPTION_KEYS
    secret = Fernet(key).encrypt(b"JBSWY3DPEHPK3PXP").decode()
    Authenticator.objects.create(user=operator, type=Authenticator.Type.TOTP, data={"secret": secret})
    assert fingerprint(key) in backup(tmp_path / "file")


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def one_bit(file: Path) -> None:
    with tarfile.open(file) as archive:
        at = archive.getmember("database").offset_data + 1000
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def no_archive(file: Path) -> None:
    file.write_bytes(b"PGDMP" * 1000)


def rewritten(file: Path, **changes: Any) -> None:
    """The same with another manifest."""
    with_database(file, content(file, "database"), **changes)


def with_database(file: Path, database: bytes, **changes: Any) -> None:
    manifest = json.dumps(json.loads(content(file, "manifest.json")) | changes).encode()
    with tarfile.open(file, "w") as archive:
        for name, data in (("manifest.json", manifest), ("database", database)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def no_manifest(file: Path) -> None:
    file.unlink()
    with tarfile.open(file, "w") as archive:
        archive.add(__file__, "database")


def climbs_out(file: Path) -> None:
    rewritten(file, sha256={"database": "0", "../../escaped": "0"})


@pytest.mark.parametrize("spoil", [cut_off, one_bit, empty, no_archive, no_manifest, climbs_out])
def test_a_broken_file_changes_nothing(made: Path, spoil: Any) -> None:
    before = everything()
    spoil(made)
    with pytest.raises(CommandError, match="is damaged, or no backup of vmdash"):
        restore(made, "--force")
    assert everything() == before


def test_a_database_that_is_refused_halfway_changes_nothing(made: Path) -> None:
    """Its sum is right, and what is in it is not."""
    before = everything()
    plain = gzip.decompress(content(made, "database"))
    if connection.vendor == "sqlite":
        spoiled = plain[:8192] + bytes(len(plain) - 8192)
    else:
        spoiled = plain + b"\nINSERT INTO access_user (id) VALUES (1);\n"
    packed = gzip.compress(spoiled)
    with_database(made, packed, sha256={"database": hashlib.sha256(packed).hexdigest()})
    with pytest.raises(CommandError, match="Nothing was changed"):
        restore(made, "--force")
    assert everything() == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"migrations": ["hosts.9999_the_future"]}, "made by a newer vmdash"),
        ({"engine": "another"}, "was made of"),
        ({"format": 2}, "made by another vmdash"),
    ],
)
def test_what_this_version_cannot_take_is_refused(made: Path, changes: dict[str, Any], words: str) -> None:
    if "engine" in changes:
        changes = {"engine": "sqlite" if connection.vendor == "postgresql" else "postgresql"}
    rewritten(made, **changes)
    with pytest.raises(CommandError, match=words):
        restore(made, "--force")
    assert Host.objects.filter(name="kvm1").exists()


def test_not_while_vmdash_runs(made: Path) -> None:
    async def collect() -> None:
        client = async_client()
        await Leases(client, 8).renew([])
        await client.aclose()

    asyncio.run(collect())
    with pytest.raises(CommandError, match="vmdash is running"):
        restore(made, "--force")


def test_a_backup_is_its_owners_alone_and_replaces_nothing(made: Path) -> None:
    assert made.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in made.parent.iterdir()] == ["vmdash.backup"]
    before = made.read_bytes()
    with pytest.raises(CommandError, match="There is a file"):
        backup(made)
    assert made.read_bytes() == before
    with pytest.raises(CommandError, match="cannot be written"):
        backup(made.parent / "nowhere" / "file")
    with pytest.raises(CommandError, match="cannot be read"):
        restore(made.parent / "missing", "--force")

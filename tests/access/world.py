"""A site with one of everything, whose names have a word in them that is nowhere else; and another site."""

from __future__ import annotations

import uuid
from datetime import timedelta

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import AnonymousUser, Group
from django.utils import timezone

from domains.models import GuestEvent
from hosts.models import Credential, Site
from storage.models import Image, ImageCopy, Upload
from tests.factories import (
    CredentialFactory,
    DomainFactory,
    HostFactory,
    JobFactory,
    PoolFactory,
    ScheduleFactory,
    SnapshotFactory,
    UserFactory,
    VolumeFactory,
)
from vmdash.access.models import Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.alerts.models import Alert, Receiver, Silence
from vmdash.api.models import Token, TokenScope
from vmdash.webhooks.models import Webhook
from vmdash.webhooks.services import new_secret

WORD = "geheim"
"""In the name of everything that is here."""
KSM = {
    "pages_to_scan": 100, "sleep_ms": 20, "shared": 1, "sharing": 2, "unshared": 3, "full_scans": 4,
    "merge_across_nodes": True, "page_kib": 4,
}  # fmt: skip


class World:
    """What the addresses are about is on one host of the site `here`."""

    def __init__(self) -> None:
        self.here, self.elsewhere = Site.objects.create(name=f"{WORD}-site"), Site.objects.create(name="Lyon")
        self.host = HostFactory.create(name=f"{WORD}-host", site=self.here, ksm=KSM)
        self.guest = DomainFactory.create(name=f"{WORD}-guest", host=self.host, xml="<domain/>")
        self.pool = PoolFactory.create(name=f"{WORD}-pool", host=self.host)
        self.volume = VolumeFactory.create(name=f"{WORD}.qcow2", pool=self.pool)
        self.other_host = HostFactory.create(name="kvm-lyon", site=self.elsewhere)
        self.other_guest = DomainFactory.create(name="web-lyon", host=self.other_host)
        for guest, host in ((self.guest, self.host), (self.other_guest, self.other_host)):
            an_hour_ago = {"at": timezone.now() - timedelta(hours=1), "state": "running"}
            GuestEvent.objects.create(uuid=guest.pk, name=guest.name, kind="seen", host_name=host.name, **an_hour_ago)
        self.other_pool = PoolFactory.create(name="pool-lyon", host=self.other_host)
        self.somebody = UserFactory.create(username=f"{WORD}-person", role=Role.OPERATOR)
        self.group = Group.objects.create(name=f"{WORD}-group")
        on_here = {"scope": Scope.SITE, "scope_id": str(self.here.pk), "scope_name": self.here.name}
        self.grant = Grant.objects.create(person=self.somebody, role=Role.VIEWER, **on_here)
        Grant.objects.create(group=self.group, role=Role.VIEWER, **on_here)
        self.job = JobFactory.create(domain=self.guest, requested_by=self.somebody)
        self.snapshot = SnapshotFactory.create(domain=self.guest, name=f"{WORD}-snapshot")
        self.schedule = ScheduleFactory.create(domain=self.guest, name=f"{WORD}-schedule")
        self.image = Image.objects.create(name=f"{WORD}-image", kind=Image.Kind.DISK, format="qcow2", size_bytes=1)
        self.copy = ImageCopy.objects.create(image=self.image, pool=self.pool, volume_name=self.volume.name)
        self.upload = Upload.objects.create(
            pool=self.pool, volume_name=f"{WORD}-upload", requested_by=self.somebody, size_bytes=1
        )
        now = timezone.now()
        self.alert = Alert.objects.create(
            fingerprint="1", rule="GuestLosesTime", summary=f"{WORD}-guest waits", host=self.host.name,
            domain=self.guest.pk, started_at=now, told_at=now, expires_at=now + timedelta(hours=1),
        )  # fmt: skip
        self.silence = Silence.objects.create(
            host=self.host.name, reason=WORD, ends_at=now + timedelta(hours=1), created_by_name=WORD
        )
        self.receiver = Receiver.objects.create(name=f"{WORD}-receiver", address="a@b.c")
        self.webhook = Webhook.objects.create(
            owner=self.somebody, name=f"{WORD}-webhook", url="https://chat.example.org/", secret=new_secret()
        )
        self.token = Token.objects.create(
            user=self.somebody, name=f"{WORD}-token", digest=WORD, beginning="vmdash_", scope=TokenScope.READ
        )
        self.passkey = Authenticator.objects.create(
            user=self.somebody, type=Authenticator.Type.WEBAUTHN, data={"name": f"{WORD}-passkey"}
        )
        self.credential: Credential = CredentialFactory.create(name=f"{WORD}-credential")

    def arguments(self, name: str, wanted: set[str]) -> dict[str, object]:
        """What the address of that name takes."""
        known: dict[str, object] = {
            "uuid": self.guest.pk,
            "job_id": uuid.uuid4(),
            "tab": "cpu",
            "action": "shutdown",
            "form": "json",
            "host": self.host.name,
            "pool": self.pool.name,
            "name": self._name(name),
            "pk": self._pk(name),
            "provider_id": "oidc",
            "uidb64": "MQ",
            "token": "set-password",
        }
        return {key: known[key] for key in wanted}

    def operation_arguments(self, name: str, wanted: set[str]) -> dict[str, object]:
        """What an operation of the API of that name takes."""
        known: dict[str, object] = {
            "uuid": self.guest.pk,
            "job_id": self.job.pk,
            "host": self.host.name,
            "pool": self.pool.name,
            "volume": self.volume.name,
            "snapshot": self.snapshot.pk,
            "alert": self.alert.pk,
            "silence": self.silence.pk,
            "grant": self.grant.pk,
            "person_id": self.somebody.pk,
            "group_id": self.group.pk,
            "credential": self.credential.pk,
            "schedule": self.schedule.pk,
            "upload": self.upload.pk,
            "image": self.image.pk,
            "copy_id": self.copy.pk,
            "receiver": self.receiver.pk,
            "webhook": self.webhook.pk,
        }
        return {key: known[key] for key in wanted}

    def _name(self, name: str) -> str:
        if name == "capacity-table":
            return "hosts"
        if name.startswith("pool"):
            return str(self.pool.name)
        return str(self.volume.name if name.startswith(("volume", "image")) else self.host.name)

    def _pk(self, name: str) -> object:
        rows = {
            "snapshot-schedule": self.schedule,
            "snapshot": self.snapshot,
            "credential": self.credential,
            "grant": self.grant,
            "group": self.group,
            "person": self.somebody,
            "alert-receiver": self.receiver,
            "alert": self.alert,
            "silence": self.silence,
            "webhook": self.webhook,
            "job": self.job,
            "upload": self.upload,
            "token": self.token,
            "image-verify": self.copy,
            "image": self.image,
            "mfa": self.passkey,
        }
        return next((row.pk for prefix, row in rows.items() if name.startswith(prefix)), None)

    def person(self, name: str) -> User | AnonymousUser:
        """Somebody who was granted what their name says: `operator here`, `administrator elsewhere`, `expired` …"""
        if name == "anonymous":
            return AnonymousUser()
        person = UserFactory.create(username=name.replace(" ", "-"), role="")
        past, words = timezone.now() - timedelta(minutes=1), name.split(" and ")
        for granted in words:
            match granted.rsplit(" ", 1):
                case ["expired"]:
                    Grant.objects.create(person=person, role=Role.ADMINISTRATOR, scope=Scope.EVERYTHING, until=past)
                case [role, "everywhere"]:
                    Grant.objects.create(person=person, role=role, scope=Scope.EVERYTHING)
                case [role, "here"]:
                    Grant.objects.create(person=person, role=role, scope=Scope.SITE, scope_id=str(self.here.pk))
                case [role, "elsewhere"]:
                    Grant.objects.create(person=person, role=role, scope=Scope.SITE, scope_id=str(self.elsewhere.pk))
        return person

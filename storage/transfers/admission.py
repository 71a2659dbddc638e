"""Who may send or fetch through the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host
from django.utils.crypto import constant_time_compare

from storage.models import Pool, Upload, Volume
from storage.transfers import tickets
from storage.transfers.tickets import Ticket, Way
from vmdash.access.audit import record
from vmdash.access.bearers import Bearer, Key
from vmdash.access.models import User
from vmdash.access.roles import Permission, can
from vmdash.access.sessions import key_of, person_of


class Refused(Exception):
    """Not let in. The text is a sentence for people; `status` the HTTP answer, `fields` go into it, too."""

    def __init__(self, words: str, status: HTTPStatus = HTTPStatus.FORBIDDEN, **fields: int) -> None:
        super().__init__(words)
        self.words = words
        self.status = status
        self.fields = fields


def check_origin(origin: str) -> str:
    """The origin that may read our answers: vmdash's own pages. Raises Refused."""
    try:
        name = urlsplit(origin).hostname or ""
    except ValueError:
        name = ""
    name = f"[{name}]" if ":" in name else name
    if origin not in settings.CSRF_TRUSTED_ORIGINS and not validate_host(name, settings.ALLOWED_HOSTS):
        raise Refused("Files are sent by the pages of vmdash only.")
    return origin


def admit_upload(upload_id: str, headers: Mapping[str, str]) -> Upload:
    """The upload that may go on now. Raises Refused."""
    key = key_of(headers)
    if isinstance(key, Bearer):  # no page elsewhere can send that header, so a script may come from anywhere
        token = headers.get("Upload-Ticket", "")
    else:
        check_origin(headers.get("Origin", ""))
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        token = token if scheme == "Ticket" else ""
    if not token:
        raise Refused("This is not how files are sent.", HTTPStatus.BAD_REQUEST)
    user, ticket = _admit(token, key, Way.UPLOAD)
    if ticket.what != upload_id:
        raise Refused("The ticket is for another upload.")
    upload = Upload.objects.select_related("pool__host__credential").filter(pk=ticket.what).first()
    if upload is None or upload.requested_by_id != user.pk:
        raise Refused("There is no such upload.", HTTPStatus.NOT_FOUND)
    _check_permitted(user, Way.UPLOAD, upload.pool, upload.volume_name)
    if upload.state != Upload.State.OPEN:
        raise Refused(
            f"This upload is {Upload.State(upload.state).label}.", HTTPStatus.CONFLICT, received=upload.received_bytes
        )
    return upload


def admit_download(token: str, headers: Mapping[str, str]) -> tuple[User, Volume]:
    """Who fetches which volume. Raises Refused."""
    user, ticket = _admit(token, key_of(headers), Way.DOWNLOAD)
    volumes = Volume.objects.visible_to(user).select_related("pool__host__credential")
    volume = volumes.filter(pk=ticket.what).first()
    if volume is None:
        raise Refused("There is no such volume any more.", HTTPStatus.NOT_FOUND)
    _check_permitted(user, Way.DOWNLOAD, volume, volume.name)
    return user, volume


def _admit(token: str, key: Key, way: Way) -> tuple[User, Ticket]:
    try:
        ticket = tickets.redeem(token, way)
    except tickets.TicketInvalid:
        raise Refused("The ticket was used already or is too old. Begin again on the page of the volume.") from None
    user = person_of(key)
    if (
        not isinstance(user, User)
        or ticket.user_id != user.pk
        or not constant_time_compare(ticket.session, tickets.session_digest(key))
    ):
        raise Refused("The ticket was made for another person or another sign-in.")
    return user, ticket


def _check_permitted(user: User, way: Way, thing: Pool | Volume, name: str) -> None:
    if not can(user, Permission.STORAGE, thing):
        record(user=user, action=f"volume.{way}", target_kind="volume", target_name=name, refused=True)
        raise Refused(f"You may not {Permission.STORAGE.label}.")

"""Which guest people mean by what they write."""

from __future__ import annotations

from domains.models import Domain
from vmdash.access.models import User
from vmdash.exceptions import InvalidInput
from vmdash.uuids import uuid_of


def the_guest(user: User, text: str) -> Domain:
    """The guest of that name or UUID, among those that `user` may see. Raises InvalidInput: there is none, or several
    are called so."""
    guests = Domain.objects.visible_to(user).select_related("host")
    uuid = uuid_of(text)
    named = list(guests.filter(pk=uuid) if uuid else guests.filter(name=text)[:2])
    if not named:
        raise InvalidInput("There is no such guest.")
    if len(named) > 1:
        raise InvalidInput(f"There are several guests called {text}. Write the UUID of the one.")
    return named[0]


def shortest_name(domain: Domain) -> str:
    """Its name where that says which one is meant, else its UUID."""
    alone = Domain.objects.present().filter(name=domain.name).count() == 1
    return domain.name if alone else str(domain.pk)

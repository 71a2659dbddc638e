"""What is wrong with a guest, in plain sentences: what, what it means, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from django.db.models import Q

from domains.figures import is_fresh
from domains.models import ACTIVE_STATES, Domain, DomainState
from domains.rows import reason_words
from domains.slowness import causes
from domains.trouble import Trouble
from hosts.models import Host
from vmdash.access.roles import Permission, can

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User
    from vmdash.live.messages import GuestSample, Tick

_PAUSED_BY_ACCIDENT = ("io_error", "watchdog", "crashed", "postcopy_failed", "api_error")

ACCIDENT = Q(state__in=(DomainState.CRASHED, DomainState.PAUSED)) & (
    Q(state=DomainState.CRASHED) | Q(state_reason__in=_PAUSED_BY_ACCIDENT)
)
"""Guests whose state alone tells that somebody should look."""

_PAUSED_ADVICE = {
    "io_error": "Look whether its storage is full or unreachable, put that right, then resume the guest: it goes on "
    "where it stopped.",
    "watchdog": "The guest did not feed its watchdog. Open the console to see what it did last; then reset it.",
    "crashed": "The guest's kernel has crashed and is kept for inspection. Open the console to see why; then reset it.",
    "postcopy_failed": "The connection broke while its memory was moved; it cannot go on. Force it off and start it.",
    "api_error": "Look into the hypervisor's log on the host, then resume or reset the guest.",
}


SAID_ALREADY = ("GuestLosesTime", "SplitBrain")
"""Rules of ours whose alerts would only repeat what is said of the guest anyway."""


def troubles_of(
    user: User | AnonymousUser, guest: Domain, sample: GuestSample | None, tick: Tick | None
) -> list[Trouble]:
    """The worst first. Needs `guest.host`; one query where the guest runs twice."""
    return [
        *_of_host(user, guest),
        *_of_state(user, guest),
        *_of_figures(user, guest, sample, tick),
    ]


def _of_host(user: User | AnonymousUser, guest: Domain) -> Iterator[Trouble]:
    host = guest.host
    if not host.enabled:
        yield Trouble(
            "warn",
            f"Its host {host.name} is disabled: nothing is read from it.",
            "What you see here was true when it was last read. An administrator can enable the host again.",
        )
    elif host.state != Host.State.UP:
        words = Host.State(host.state).label
        reason = f"{host.state_reason} " if host.state_reason and can(user, Permission.VIEW, host) else ""
        yield Trouble(
            "bad",
            f"Its host {host.name} is {words}." if host.state == Host.State.NEW else f"Its host {host.name} {words}.",
            f"{reason}What you see here was true when it last answered; whether the guest runs is not known.",
        )


def _of_state(user: User | AnonymousUser, guest: Domain) -> Iterator[Trouble]:
    if guest.split_brain:
        names = " and ".join(_active_on(user, guest))
        yield Trouble(
            "bad",
            f"It is active on two hosts at once: {names}.",
            "Both write to its disks, which destroys them. Force it off on one of them at once; nothing can start it "
            "anywhere until then.",
        )
    if guest.state == DomainState.CRASHED:
        why = f" ({words})" if (words := reason_words(guest)) else ""
        yield Trouble(
            "bad", f"It has crashed{why}.", "Open the console to see what it said last; then start it, or force it off."
        )
    elif guest.state == DomainState.PAUSED and guest.state_reason in _PAUSED_BY_ACCIDENT:
        yield Trouble("bad", f"It is paused: {reason_words(guest)}.", _PAUSED_ADVICE[guest.state_reason])


def _active_on(user: User | AnonymousUser, guest: Domain) -> Sequence[str]:
    """The hosts, as far as `user` may know of them."""
    hosts = Host.objects.visible_to(user).filter(sightings__domain=guest, sightings__state__in=ACTIVE_STATES)
    return list(hosts.order_by("name").values_list("name", flat=True))


def _of_figures(
    user: User | AnonymousUser, guest: Domain, sample: GuestSample | None, tick: Tick | None
) -> Iterator[Trouble]:
    if not guest.host.enabled or guest.host.state != Host.State.UP or tick is None:
        return
    if not is_fresh(tick):
        yield Trouble(
            "warn",
            f"No figures of {guest.host.name} have come lately.",
            "Its connection is up, but the collector does not send. The figures below are old.",
        )
    elif sample:
        yield from causes(user, guest, sample, tick)

"""The tile of a host as it was: `{% load past %}`, `{% past_tile tile past.steal named %}`. In Python, as now."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote
from uuid import UUID

from django import template
from django.utils import timezone
from django.utils.html import escape
from django.utils.safestring import SafeString

from domains.timeline.fleet import HostThen
from domains.timeline.then import GuestThen
from hosts.models import Host
from vmdash.formats import percent
from vmdash.main.templatetags.fleet import MUCH_STEAL_PERCENT, counts
from vmdash.main.templatetags.ui import icon, meter

register = template.Library()


@register.simple_tag
def past_tile(tile: HostThen, steal: Mapping[UUID, float], named: bool) -> SafeString:
    """`named`: its guests with their names."""
    figures = tile.figures
    lost = figures.steal if figures else None
    cpu = figures.cpu if figures else None
    memory = figures.memory if figures else None
    bars = (
        '<div class="bars">'
        f'<span class="faint">CPU</span>{meter(cpu=None if cpu is None else min(cpu, 100 - (lost or 0)), steal=lost)}'
        f'<span class="muted figure">{percent(cpu)}</span>'
        f'<span class="faint">Mem</span>{meter(mem=memory)}<span class="muted figure">{percent(memory)}</span></div>'
    )
    return SafeString(
        f'<article class="panel tile{" silent" if tile.was_away else ""}{"" if tile.answered else " stale"}">'
        f'<div class="row">{_name(tile)}<span class="grow"></span>{_mark(tile, lost)}</div>'
        f"{_guests(tile, steal, named)}{_why(tile)}{bars if tile.host else ''}</article>"
    )


def _name(tile: HostThen) -> str:
    if tile.host:
        return f'<a class="name cut" href="/hosts/{quote(tile.name)}/">{escape(tile.name)}</a>'
    return f'<span class="name cut">{escape(tile.name) or "Other hosts"}</span>'


def _mark(tile: HostThen, lost: float | None) -> str:
    if tile.was_away:
        return f'<span class="st bad">{icon("crashed")}</span>'
    if tile.figures is None:
        return ""
    tone = "bad" if (lost or 0) >= MUCH_STEAL_PERCENT else "muted"
    return f'<span class="small steal {tone}">steal {percent(lost)}</span>'


def _guests(tile: HostThen, steal: Mapping[UUID, float], named: bool) -> str:
    if not tile.guests:
        return counts(tile.states, "no guests known")
    if named:
        return f'<div class="squares">{"".join(_named(guest, steal.get(guest.uuid)) for guest in tile.guests)}</div>'
    squares = [_square(guest, steal.get(guest.uuid)) for guest in tile.guests]
    summary = ", ".join(f"{count.number} {count.label}" for count in tile.states)
    return f'<p class="visually-hidden">{summary}</p><div class="squares" aria-hidden="true">{"".join(squares)}</div>'


def _named(guest: GuestThen, lost: float | None) -> str:
    words = _words(guest, lost)
    inside = f'<i class="sq {guest.state}"></i>{escape(guest.name)}<span class="visually-hidden">: {words}</span>' + (
        f' <span class="steal small bad">{percent(lost)}</span>' if (lost or 0) >= MUCH_STEAL_PERCENT else ""
    )
    title = f"{escape(guest.name)}: {words}"
    if guest.still:
        return f'<a class="named cut" href="/domains/{guest.uuid}/" title="{title}">{inside}</a>'
    return f'<span class="named cut gone" title="{title}">{inside}</span>'


def _square(guest: GuestThen, lost: float | None) -> str:
    title = f"{escape(guest.name)}: {_words(guest, lost)}"
    if guest.still:
        return f'<a tabindex="-1" class="sq {guest.state}" href="/domains/{guest.uuid}/" title="{title}"></a>'
    return f'<i class="sq {guest.state}" title="{title}"></i>'


def _words(guest: GuestThen, lost: float | None) -> str:
    words = guest.label if lost is None else f"{guest.label}, lost {percent(lost)} of its CPU time"
    return words if guest.still else f"{words}; not defined any more"


def _why(tile: HostThen) -> str:
    if tile.host is None:
        words = "You see these guests, and not the host." if tile.exists else "There is no such host any more."
        return f'<p class="small why">{words if tile.name else "You may not see them."}</p>'
    if tile.was_away and tile.connection:
        since = timezone.localtime(tile.connection.at).strftime("%-d %b %Y, %H:%M")
        reason = f". {escape(tile.connection.reason)}" if tile.connection.reason else ""
        words = Host.State(tile.connection.state).label
        return f'<p class="small why"><span class="bad">{words}</span> since {since}{reason}</p>'
    if tile.answered is False:
        return '<p class="small why">No figures of this moment; guests as last known before.</p>'
    return ""

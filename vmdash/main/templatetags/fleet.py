"""The tile of a host on the fleet page: `{% load fleet %}`, `{% host_tile tile %}`.

Written in Python, since a page holds hundreds of them with dozens of guests each: as a template one takes ten times
as long.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString

from domains.selectors import StateCount
from vmdash.formats import percent
from vmdash.main.fleet import Tile
from vmdash.main.templatetags.ui import age, freshness, icon, meter

register = template.Library()

MUCH_STEAL_PERCENT = 5


@register.simple_tag
def host_tile(tile: Tile) -> SafeString:
    host = tile.host
    silent = " silent" if host.enabled and not tile.answers else ""
    stale = " stale" if tile.is_stale else ""
    return SafeString(
        f'<article class="panel tile{silent}{stale}" data-host="{host.pk}" data-figures>'
        f'<div class="row"><a class="name cut" href="/hosts/{quote(host.name)}/">{escape(host.name)}</a>'
        f'<span class="grow"></span>{_maintenance(tile)}{_mark(tile)}</div>'
        f"{_guests(tile)}{_why(tile)}"
        '<div class="bars">'
        f'<span class="faint">CPU</span>{meter(cpu=tile.cpu_bar, steal=tile.steal)}'
        f'<span class="muted figure" data-show="cpu">{percent(tile.cpu)}</span>'
        f'<span class="faint">Mem</span>{meter(mem=tile.memory)}'
        f'<span class="muted figure" data-show="mem">{percent(tile.memory)}</span></div>'
        f"{freshness(tile.tick['at'], tile.tick['interval_ms']) if tile.tick and tile.answers else ''}</article>"
    )


def _mark(tile: Tile) -> str:
    """The steal, or why there is none to tell."""
    if not tile.answers:
        return f'<span class="st {tile.status.tone}" title="{tile.status.words}">{icon(tile.status.icon)}</span>'
    tone = "bad" if (tile.steal or 0) >= MUCH_STEAL_PERCENT else "muted"
    return f'<span class="small steal {tone}">steal <span data-show="steal">{percent(tile.steal)}</span></span>'


def _maintenance(tile: Tile) -> str:
    return f'<span class="tag">{tile.host.get_maintenance_display()}</span>' if tile.host.in_maintenance else ""


def _guests(tile: Tile) -> str:
    if not tile.squares:
        return counts(tile.states, "no guests")
    if tile.named:
        names = [
            f'<a class="named cut" href="/domains/{square.uuid}/" title="{escape(square.name)}: {square.label}">'
            f'<i class="sq {square.state}" data-uuid="{square.uuid}"></i>{escape(square.name)}'
            f'<span class="visually-hidden">: {square.label}</span></a>'
            for square in tile.squares
        ]
        return f'<div class="squares">{"".join(names)}</div>'
    squares = [
        f'<a tabindex="-1" class="sq {square.state}" href="/domains/{square.uuid}/" data-uuid="{square.uuid}"'
        f' title="{escape(square.name)}: {square.label}"></a>'
        for square in tile.squares
    ]
    summary = f'<p class="visually-hidden">{tile.summary}</p>'
    return f'{summary}<div class="squares" aria-hidden="true">{"".join(squares)}</div>'


def counts(states: Iterable[StateCount], without: str) -> str:
    """How many guests are in which state, instead of a square for each; `without`: what is said of none."""
    told = [
        f'<span class="nowrap"><i class="sq {count.state}"></i>{count.number} {count.label}</span>' for count in states
    ]
    return f'<p class="counts small">{" ".join(told) or without}</p>'


def _why(tile: Tile) -> str:
    if tile.answers:
        return ""
    words = f'<span class="{tile.status.tone}">{tile.status.words}</span>'
    seen = f", last seen {age(tile.host.last_seen_at)}" if tile.host.last_seen_at else ""
    reason = f". {escape(tile.host.state_reason)}" if tile.host.enabled and tile.host.state_reason else ""
    return f'<p class="small why">{words}{seen}{reason}</p>'

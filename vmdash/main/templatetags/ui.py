"""What templates are made of: `{% load ui %}`.

{{ host.memory_kib|kib }}  {{ pool.capacity_bytes|size }}  {{ sample.cpu|percent }}
{{ sample.rx|per_second }}  {{ totals.guests|number }}
{% icon "running" %}                          an icon of templates/components/icons.html
{% age job.finished_at %}                     "12 min ago", kept up to date in the browser, exact time as title
{% freshness tick.at tick.interval_ms %}      empty while fresh, "43 s ago" when old
{% meter cpu=43 steal=31 %}                   a stacked bar, in percent
{% guest_state domain %}                      icon, state and reason
{% query page=2 %}                            this page's query string with changes
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from vmdash import formats

register = template.Library()
register.filter("number", formats.number)
register.filter("size", formats.size)
register.filter("kib", formats.kib)
register.filter("brief", formats.brief)
register.filter("percent", formats.percent)
register.filter("per_second", formats.per_second)

_METER = 'viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"'
_STATE_LOOKS = {
    "running": ("ok", "running"),
    "idle": ("ok", "running"),
    "paused": ("warn", "paused"),
    "in_shutdown": ("busy", "shutdown"),
    "shut_off": ("off", "off"),
    "crashed": ("bad", "crashed"),
    "dying": ("bad", "crashed"),
    "pmsuspended": ("warn", "asleep"),
    "nostate": ("off", "unknown"),
}
"""Colour and icon of each `DomainState`; static/js/states.js has the same."""


@register.simple_tag
@lru_cache
def icon(name: str) -> SafeString:
    return format_html('<svg class="icon" aria-hidden="true"><use href="#i-{}"/></svg>', name)


@register.simple_tag
@lru_cache
def guest_state(state: str, label: str, reason: str = "") -> SafeString:
    """A guest's state: `state` is a `DomainState` value, `label` and `reason` are words."""
    look, name = _STATE_LOOKS.get(state, ("off", "unknown"))
    why = format_html(' <span class="faint">{}</span>', reason) if reason else ""
    return format_html('<span class="st {}">{}{}</span>{}', look, icon(name), label, why)


def _moment(when: datetime | int) -> tuple[datetime, int]:
    """A datetime or Unix milliseconds, as both."""
    if isinstance(when, datetime):
        return when, formats.milliseconds(when)
    return datetime.fromtimestamp(when / 1000, UTC), when


def _exact(moment: datetime) -> str:
    return timezone.localtime(moment).strftime("%-d %b %Y, %H:%M:%S %Z")


@register.simple_tag
def age(when: datetime | int | None) -> SafeString | str:
    """How long ago `when` (a datetime or Unix milliseconds) was."""
    if when is None:
        return formats.UNKNOWN
    moment, ms = _moment(when)
    return format_html(
        '<time datetime="{}" title="{}" data-at="{}">{}</time>',
        moment.isoformat(timespec="seconds"),
        _exact(moment),
        ms,
        formats.age(timezone.now() - moment),
    )


@register.simple_tag
def lasting(since: datetime | int) -> SafeString:
    """For how long something has been so."""
    moment, ms = _moment(since)
    return format_html(
        '<time datetime="{}" title="since {}" data-at="{}" data-lasting>{}</time>',
        moment.isoformat(timespec="seconds"),
        _exact(moment),
        ms,
        formats.duration(timezone.now() - moment),
    )


@register.simple_tag
def freshness(at: int, interval_ms: int) -> SafeString:
    """The age of a figure, shown only when it is older than three intervals."""
    moment, ms = _moment(at)
    old = timezone.now() - moment
    stale = old.total_seconds() * 1000 > 3 * interval_ms
    return format_html(
        '<time class="age{}" datetime="{}" data-at="{}" data-interval="{}">{}</time>',
        " stale" if stale else "",
        moment.isoformat(timespec="seconds"),
        ms,
        interval_ms,
        formats.age(old) if stale else "",
    )


@register.simple_tag
def meter(**shares: float | None) -> SafeString:
    """A bar of percent shares, stacked in the order given; each name is a colour: cpu, steal, mem, disk, busy.

    It is hidden from screen readers: write the figure beside it.
    """
    x = 0.0
    parts = []
    for name, share in shares.items():
        width = max(0.0, min(100.0 - x, share or 0.0))
        parts.append(f'<rect class="{name}" x="{x:.1f}" width="{width:.1f}" height="8"/>')
        x += width
    # Names of ours and numbers: there is nothing to escape, and pages hold hundreds of bars.
    return SafeString(f'<svg class="meter" {_METER}>{"".join(parts)}</svg>')


@register.simple_tag(takes_context=True)
def query(context: dict[str, Any], **changes: object) -> str:
    """`?…` with this request's parameters and these changes; None removes one."""
    parameters = context["request"].GET.copy()
    for name, value in changes.items():
        if value is None:
            parameters.pop(name, None)
        else:
            parameters[name] = str(value)
    return f"?{parameters.urlencode()}"

"""Filters of the capacity pages: `{% load capacity %}`.

{{ line.cpu_ratio|times }}   {{ line.cpu_busy|cpus }}
"""

from __future__ import annotations

from django import template

from domains.capacity.failure import Failure
from domains.capacity.models import Resource, Scope
from domains.capacity.sheet import Line, Sheet
from domains.capacity.words import amount
from vmdash import formats

register = template.Library()


@register.filter
def times(ratio: float | None) -> str:
    """2.5 → "2.5 ×"; below one, where it matters, with two digits."""
    if ratio is None:
        return formats.UNKNOWN
    return f"{ratio:.2f} ×" if ratio < 1 else f"{ratio:.1f} ×"


@register.filter
def cpus(value: float | None) -> str:
    """12.5 → "12.5 CPUs"."""
    return formats.UNKNOWN if value is None else amount(Resource.CPU, value)


@register.filter
def sinking_of(line: Line, sheet: Sheet) -> list[Failure]:
    """The hosts of the fleet or of a site whose failure is not survived."""
    return _inside(line, sheet.sinking)


@register.filter
def tight_of(line: Line, sheet: Sheet) -> list[Failure]:
    """The hosts of the fleet or of a site whose failure leaves too little CPU."""
    return _inside(line, sheet.tight)


def _inside(line: Line, failures: list[Failure]) -> list[Failure]:
    if line.scope == Scope.FLEET:
        return failures
    inside = {machine.pk for machine in line.machines}
    return [failure for failure in failures if failure.machine.pk in inside]

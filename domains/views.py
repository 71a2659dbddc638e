"""The table of guests."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from django.core.paginator import Paginator
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from domains import selectors
from domains.actions import ACTIONS
from domains.forms import PAGE_SIZE, sort_of, whole_number
from domains.search import parse
from domains.selectors import GuestLine
from domains.services import MOST_AT_ONCE
from domains.table import COLUMNS
from hosts.announce import host_changed
from hosts.models import Host
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission, can, can_everywhere
from vmdash.exceptions import InvalidInput
from vmdash.live.messages import HostChanged

WINDOW = 100
"""Rows in an answer to JavaScript, unless it asks for another number."""
BULK_ACTIONS = ("start", "shutdown", "reboot", "suspend", "resume", "save", "force_off")


@require_safe
@allow(Permission.VIEW)
def guests(request: SignedInRequest) -> HttpResponse:
    """One page of the table. With JavaScript it becomes one long table that is alive."""
    context = {
        "counts": selectors.counts(request.user),
        "actions": [ACTIONS[key] for key in BULK_ACTIONS if can(request.user, ACTIONS[key].permission)],
        "most_at_once": MOST_AT_ONCE,
        "may_define": can_everywhere(request.user, Permission.DEFINE)
        or Host.objects.open_to(request.user, Permission.DEFINE).exists(),
    }
    try:
        sort, number = sort_of(request.GET), whole_number(request.GET, "page", 1, least=1, most=100_000)
        window = selectors.window(
            request.user, parse(request.GET.get("q", "")), sort, (number - 1) * PAGE_SIZE, PAGE_SIZE
        )
    except InvalidInput as error:
        return render(request, "domains/guests.html", context | {"error": error}, status=400)
    context |= {
        "sort": sort,
        "columns": [(column, sort.after_choosing(column)) for column in COLUMNS],
        "window": window,
        "page": Paginator(range(window.total), PAGE_SIZE).get_page(number),
    }
    return render(request, "domains/guests.html", context)


@require_safe
@allow(Permission.VIEW)
def rows(request: SignedInRequest) -> JsonResponse:
    """A window of the table: rows, their newest figures, and the connections of their hosts."""
    try:
        offset = whole_number(request.GET, "offset", 0, least=0, most=10_000_000)
        limit = whole_number(request.GET, "limit", WINDOW, least=1, most=MOST_AT_ONCE)
        window = selectors.window(request.user, parse(request.GET.get("q", "")), sort_of(request.GET), offset, limit)
    except InvalidInput as error:
        return _problem(error)
    hosts = {line.host.pk: line for line in window.lines}
    hidden = _hidden(request, hosts)
    return JsonResponse(
        {
            "at": time.time_ns() // 1_000_000,
            "total": window.total,
            "offset": offset,
            "rows": [line.row for line in window.lines],
            "samples": {line.row["uuid"]: line.sample for line in window.lines if line.sample},
            "hosts": _connections(hosts, hidden),
            "hidden_hosts": sorted(hidden),
            "ticks": {pk: _measured(line) for pk, line in hosts.items() if line.tick},
        }
    )


def _hidden(request: SignedInRequest, hosts: Collection[int]) -> set[int]:
    """Hosts of guests that are seen, and not seen themselves."""
    if can_everywhere(request.user, Permission.VIEW):
        return set()
    return set(hosts) - set(Host.objects.visible_to(request.user).filter(pk__in=hosts).values_list("pk", flat=True))


def _connections(hosts: Mapping[int, GuestLine], hidden: Collection[int]) -> list[HostChanged]:
    """Whoever sees a guest knows whether its host answers; why not is told to those who see the host."""
    told = [host_changed(line.host) for line in hosts.values()]
    return [{**one, "reason": ""} if one["host"] in hidden else one for one in told]


def _measured(line: GuestLine) -> dict[str, int]:
    """When the figures of a host's guests were taken."""
    return {"at": line.tick["at"], "interval_ms": line.tick["interval_ms"]} if line.tick else {}


def _problem(error: InvalidInput) -> JsonResponse:
    return JsonResponse({"error": error.message, "hint": error.hint}, status=400)

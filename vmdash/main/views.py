"""The fleet page."""

from __future__ import annotations

from django.core.exceptions import BadRequest
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from domains.timeline.fleet import fleet_then
from hosts.models import Host
from hosts.timeline import fleet_charts, fleet_events
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission, can_everywhere
from vmdash.exceptions import InvalidInput
from vmdash.main.fleet import MOST_NAMED, by_site
from vmdash.main.fleet import fleet as fleet_of
from vmdash.main.moments import Slider, slider_of
from vmdash.metrics.panel import Form, Panel, answer, chosen_window


@require_safe
@allow(Permission.VIEW)
def fleet(request: SignedInRequest) -> HttpResponse:
    """Every host as a tile; `?site=NAME` shows those of one site, `?at=MOMENT` shows it as it was then."""
    site, hosts = _site(request)
    slider = _slider(request, site)
    if slider.at is not None:
        past = fleet_then(request.user, slider.moment, hosts, site=site)
        sites, named = by_site(past.hosts), past.guests <= MOST_NAMED
        context = {"past": past, "sites": sites, "named": named, "slider": slider, "site": site}
        return render(request, "main/past.html", context)
    window = chosen_window(request.GET)
    address = reverse("fleet-charts", args=["json"]).removesuffix(".json")
    context = {
        "panel": Panel(address, window, fleet_charts(hosts, window, all_of_them=_is_whole(request, site)), site),
        "fleet": fleet_of(request.user, site=site),
        "slider": slider,
        "site": site,
        "site_query": f'site:"{site}"',
        "may_add_hosts": can_everywhere(request.user, Permission.MANAGE_HOSTS),
    }
    return render(request, "main/fleet.html", context)


@require_safe
@allow(Permission.VIEW)
def fleet_chart_data(request: SignedInRequest, form: Form) -> HttpResponse:
    """The charts of all hosts together, or of a site's, in figures; 503 while the history store does not answer."""
    site, hosts = _site(request)
    return answer(
        request.GET,
        form,
        site or "fleet",
        lambda window: fleet_charts(hosts, window, all_of_them=_is_whole(request, site)),
        lambda window: fleet_events(hosts, request.user, window),
    )


def _site(request: SignedInRequest) -> tuple[str, list[Host]]:
    """The site that is asked for, or none, and its hosts."""
    site = request.GET.get("site", "")
    hosts = Host.objects.visible_to(request.user).select_related("site").only("name", "site__name")
    found = list(hosts.filter(site__name=site) if site else hosts)
    if site and not found:
        raise Http404(f"There is no site {site[:60]!r}.")
    return site, found


def _is_whole(request: SignedInRequest, site: str) -> bool:
    """Whether it is about every host that there is: then none needs to be named."""
    return not site and can_everywhere(request.user, Permission.VIEW)


def _slider(request: SignedInRequest, site: str) -> Slider:
    try:
        return slider_of(request.GET, site=site)
    except InvalidInput as error:
        raise BadRequest(str(error)) from error

"""What the page frame shows on every page. A fixed number of queries, none for the signed out."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse

from domains.models import Domain
from hosts.models import Host
from vmdash.access.roles import Permission, can, can_everywhere
from vmdash.alerts.models import Alert
from vmdash.jobs.models import Job

MOST_JOBS = 500
"""How many unfinished jobs the pill counts."""


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the navigation; `g` and then `key` goes there."""

    name: str
    key: str
    icon: str
    url: str
    here: bool
    count: int | None = None


@dataclass(frozen=True, slots=True)
class SiteLink:
    """A site in the navigation: the guests of its hosts."""

    name: str
    hosts: int
    url: str
    here: bool


@dataclass(frozen=True, slots=True)
class Frame:
    places: list[Place]
    sites: list[SiteLink]
    job_ids: list[str]
    """Unfinished jobs that the person may see."""


def shell(request: HttpRequest) -> dict[str, object]:
    user = getattr(request, "user", None)  # an error page may come before anybody is known
    if user is None or not user.is_authenticated:
        return {}
    hosts = Host.objects.visible_to(user)
    jobs = Job.objects.visible_to(user).unfinished().values_list("pk", flat=True)
    job_ids = [str(pk) for pk in jobs[:MOST_JOBS]]
    alerts = Alert.objects.visible_to(user).loud().count()
    counts = {
        "guests": Domain.objects.visible_to(user).count(),
        "hosts": hosts.count(),
        "jobs": len(job_ids),
        "alerts": alerts,
    }

    def place(name: str, key: str, icon: str, url_name: str) -> Place:
        url = reverse(url_name)
        here = request.path == url if url == "/" else request.path.startswith(url)
        return Place(name, key, icon, url, here, counts.get(url_name))

    return {
        "frame": Frame(
            places=[
                place("Fleet", "f", "fleet", "fleet"),
                place("Guests", "g", "guest", "guests"),
                place("Hosts", "h", "host", "hosts"),
                place("Storage", "s", "storage", "storage"),
                place("Jobs", "j", "job", "jobs"),
                *([place("Desk", "d", "desk", "desk")] if can(user, Permission.POWER) else []),
                place("Alerts", "a", "warning", "alerts"),
                *([place("Webhooks", "w", "webhook", "webhooks")] if can(user, Permission.WEBHOOKS) else []),
                place("Capacity", "c", "capacity", "capacity"),
                *([place("People", "p", "person", "people")] if can(user, Permission.MANAGE_PEOPLE) else []),
                *([place("Audit", "u", "audit", "audit")] if can_everywhere(user, Permission.AUDIT) else []),
            ],
            sites=_sites(request, hosts.exclude(site=None)),
            job_ids=job_ids,
        )
    }


def _sites(request: HttpRequest, hosts: object) -> list[SiteLink]:
    links = []
    for site in hosts.values("site__name").annotate(hosts=Count("pk")).order_by("site__name"):  # type: ignore[attr-defined]
        name = site["site__name"]
        url = f"{reverse('fleet')}?{urlencode({'site': name})}"
        links.append(SiteLink(name, site["hosts"], url, here=request.get_full_path() == url))
    return links

"""Links to hosts: `{% load hosts %}`. Whoever was granted a guest and not its host knows the host's name alone.

{% host_link domain.host.name %}            a link for those who may open the host's page, and the name for the others
{% host_link row.host_name "quiet" %}       the same with a class
{% opens_host alert.host as opens %}        whether this reader may open it
"""

from __future__ import annotations

from typing import Any

from django import template
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hosts.models import Host
from vmdash.access.roles import Permission, can_everywhere

register = template.Library()


@register.simple_tag(takes_context=True)
def host_link(context: dict[str, Any], name: str, look: str = "") -> SafeString:
    if not _opens(context["request"], name):
        return format_html("{}", name)
    classes = format_html(' class="{}"', look) if look else ""
    return format_html('<a{} href="{}">{}</a>', classes, reverse("host", args=[name]), name)


@register.simple_tag(takes_context=True)
def opens_host(context: dict[str, Any], name: str) -> bool:
    return _opens(context["request"], name)


def _opens(request: HttpRequest, name: str) -> bool:
    """One query a page, for those alone who see not all."""
    if not name or can_everywhere(request.user, Permission.VIEW):
        return bool(name)
    seen: frozenset[str] | None = getattr(request, "hosts_seen", None)
    if seen is None:
        seen = frozenset(Host.objects.visible_to(request.user).values_list("name", flat=True))
        request.hosts_seen = seen  # type: ignore[attr-defined]
    return name in seen

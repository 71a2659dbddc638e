"""Every address of the web process."""

from django.urls import URLPattern, URLResolver, include, path

from vmdash.main import metrics_views, probe_views, views
from vmdash.main.people.person_views import NewPassword
from vmdash.metrics import converters as converters

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.fleet, name="fleet"),
    path("charts.<chartform:form>", views.fleet_chart_data, name="fleet-charts"),
    path("healthz", probe_views.alive, name="healthz"),
    path("readyz", probe_views.ready, name="readyz"),
    path("metrics", metrics_views.health, name="metrics"),
    path("metrics/fleet", metrics_views.fleet, name="metrics-fleet"),
    path("", include("vmdash.main.signon.urls")),
    path("domains/", include("domains.consoles.urls")),
    path("domains/", include("domains.urls")),
    path("desk/", include("domains.desk.urls")),
    path("hosts/", include("domains.draining.urls")),
    path("hosts/", include("domains.numa.balance.urls")),
    path("hosts/", include("hosts.urls")),
    path("storage/", include("storage.urls")),
    path("capacity/", include("domains.capacity.urls")),
    path("alerts/", include("vmdash.alerts.urls")),
    path("webhooks/", include("vmdash.main.hooks.urls")),
    path("audit/", include("vmdash.access.trail.urls")),
    path("people/", include("vmdash.main.people.urls")),
    path("new-password/<uidb64>/<token>/", NewPassword.as_view(), name="new-password"),
    path("jobs/", include("vmdash.jobs.urls")),
    path("", include("vmdash.api.page_urls")),
    path("api/v1/", include("vmdash.api.urls")),
    path("storage/", include("storage.volume_urls")),
]
handler400 = "vmdash.main.errors.bad_request"
handler404 = "vmdash.main.errors.not_found"

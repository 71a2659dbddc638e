"""Addresses of guests, below `/domains/`."""

from django.urls import include, path

from domains import action_views, guest_views, views
from vmdash.metrics import converters as converters

urlpatterns = [
    path("", views.guests, name="guests"),
    path("rows/", views.rows, name="guest-rows"),
    path("new/", include("domains.defining.urls")),
    path("action/", action_views.act_on_many, name="guests-action"),
    path("<uuid:uuid>/", guest_views.guest, name="guest"),
    path("<uuid:uuid>/action/", action_views.act, name="guest-action"),
    path("<uuid:uuid>/tags/", guest_views.tags, name="guest-tags"),
    path("<uuid:uuid>/note/", guest_views.note, name="guest-note"),
    path("<uuid:uuid>/charts.<chartform:form>", guest_views.chart_data, name="guest-charts"),
    path("<uuid:uuid>/cpu-charts.<chartform:form>", guest_views.cpu_chart_data, name="guest-cpu-charts"),
    path("<uuid:uuid>/definition.xml", guest_views.definition, name="guest-definition"),
    path("<uuid:uuid>/clone/", include("domains.cloning.urls")),
    path("<uuid:uuid>/migrate/", include("domains.migration.urls")),
    path("<uuid:uuid>/place/", include("domains.numa.urls")),
    path("<uuid:uuid>/tune/", include("domains.tuning.urls")),
    path("<uuid:uuid>/snapshots/", include("domains.snapshots.urls")),
    path("snapshot-schedules/", include("domains.snapshots.schedules.urls")),
    path("<uuid:uuid>/<slug:tab>/", guest_views.guest, name="guest-tab"),
]

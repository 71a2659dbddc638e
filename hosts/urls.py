"""Addresses below `/hosts/`."""

from django.urls import path

from hosts import credential_views, views
from hosts.ksm.views import ksm
from vmdash.metrics import converters as converters

urlpatterns = [
    path("", views.hosts, name="hosts"),
    path("add/", views.add, name="host-add"),
    path("credentials/", credential_views.credentials, name="credentials"),
    path("credentials/<int:pk>/", credential_views.replace, name="credential"),
    path("credentials/<int:pk>/remove/", credential_views.remove, name="credential-remove"),
    path("<str:name>/", views.host, name="host"),
    path("<str:name>/charts.<chartform:form>", views.chart_data, name="host-charts"),
    path("<str:name>/edit/", views.edit, name="host-edit"),
    path("<str:name>/ksm/", ksm, name="host-ksm"),
    path("<str:name>/test/", views.test, name="host-test"),
    path("<str:name>/trust/", views.trust, name="host-trust"),
    path("<str:name>/forget/", views.forget, name="host-forget"),
    path("<str:name>/enable/", views.enable, name="host-enable"),
    path("<str:name>/disable/", views.disable, name="host-disable"),
    path("<str:name>/remove/", views.remove, name="host-remove"),
]

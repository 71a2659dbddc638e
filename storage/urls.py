"""Addresses below `/storage/`."""

from django.urls import path

from storage import pool_views
from vmdash.metrics import converters as converters

urlpatterns = [
    path("", pool_views.pools, name="storage"),
    path("chains/", pool_views.chains, name="chains"),
    path("pools/add/", pool_views.define, name="pool-define"),
    path("pools/<str:host>/<str:name>/", pool_views.pool, name="pool"),
    path("pools/<str:host>/<str:name>/charts.<chartform:form>", pool_views.chart_data, name="pool-charts"),
    path("pools/<str:host>/<str:name>/act/", pool_views.act, name="pool-act"),
    path("pools/<str:host>/<str:name>/compare/", pool_views.compare, name="pool-compare"),
]

"""Addresses of drains and returns, below `/hosts/`."""

from django.urls import path

from domains.draining import views

urlpatterns = [
    path("<str:name>/drain/", views.drain, name="host-drain"),
    path("<str:name>/drain/start/", views.start_drain, name="host-drain-start"),
    path("<str:name>/drain/check/", views.check_moves, name="host-drain-check"),
    path("<str:name>/return/", views.return_guests, name="host-return"),
    path("<str:name>/return/start/", views.start_return, name="host-return-start"),
    path("<str:name>/maintenance/end/", views.end_maintenance, name="host-maintenance-end"),
]

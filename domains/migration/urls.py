"""Addresses of a guest's move, below `/domains/UUID/migrate/`."""

from django.urls import path

from domains.migration import views

urlpatterns = [
    path("", views.page, name="guest-migrate"),
    path("check/", views.check_targets, name="guest-migrate-check"),
    path("start/", views.start, name="guest-migrate-start"),
    path("order/", views.order, name="guest-migrate-order"),
]

"""Addresses of the help desk's pages, below `/desk/`."""

from django.urls import path

from domains.desk import views

urlpatterns = [
    path("", views.desk, name="desk"),
    path("<uuid:uuid>/<slug:action>/", views.act, name="desk-action"),
]

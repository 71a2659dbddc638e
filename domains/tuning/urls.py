"""Addresses below `/domains/UUID/tune/`."""

from django.urls import path

from domains.tuning import views

urlpatterns = [
    path("", views.tuning, name="guest-tune"),
    path("now/", views.tune, name="guest-tune-now"),
    path("undo/", views.undo, name="guest-tune-undo"),
]

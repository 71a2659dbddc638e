"""Addresses below `/domains/UUID/place/`."""

from django.urls import path

from domains.numa import views

urlpatterns = [
    path("", views.placing, name="guest-place"),
    path("now/", views.place, name="guest-place-now"),
    path("undo/", views.undo, name="guest-place-undo"),
]

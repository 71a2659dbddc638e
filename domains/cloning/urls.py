"""Addresses of a guest's clones, below `/domains/UUID/clone/`."""

from django.urls import path

from domains.cloning import views

urlpatterns = [
    path("", views.clone, name="guest-clone"),
    path("template/", views.template, name="guest-template"),
]

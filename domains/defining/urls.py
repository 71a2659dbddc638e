"""Addresses for making guests, below `/domains/new/`."""

from django.urls import path

from domains.defining import views

urlpatterns = [
    path("", views.new, name="guest-new"),
]

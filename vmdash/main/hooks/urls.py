"""Addresses below `/webhooks/`."""

from django.urls import path

from vmdash.main.hooks import views

urlpatterns = [
    path("", views.webhooks, name="webhooks"),
    path("add/", views.add, name="webhook-add"),
    path("<int:pk>/", views.webhook, name="webhook"),
    path("<int:pk>/edit/", views.edit, name="webhook-edit"),
    path("<int:pk>/test/", views.test, name="webhook-test"),
    path("<int:pk>/secret/", views.secret, name="webhook-secret"),
    path("<int:pk>/on/", views.switch_on, name="webhook-on"),
    path("<int:pk>/off/", views.switch_off, name="webhook-off"),
    path("<int:pk>/remove/", views.remove, name="webhook-remove"),
]

"""Addresses of consoles, below `/domains/`."""

from django.urls import path

from domains.consoles import views

urlpatterns = [
    path("<uuid:uuid>/console/", views.console, name="console"),
    path("<uuid:uuid>/console/<uuid:job_id>/", views.console_ticket, name="console-ticket"),
    path("<uuid:uuid>/serial/", views.serial_console, name="serial-console"),
    path("<uuid:uuid>/screen.png", views.screen, name="screen"),
]

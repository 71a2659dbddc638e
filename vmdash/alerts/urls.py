"""Addresses below `/alerts/`."""

from django.urls import path

from vmdash.alerts import views

urlpatterns = [
    path("", views.alerts, name="alerts"),
    path("<int:pk>/acknowledge/", views.acknowledge, name="alert-acknowledge"),
    path("<int:pk>/silence/", views.silence, name="alert-silence"),
    path("silences/<int:pk>/end/", views.end_silence, name="silence-end"),
    path("receivers/", views.receivers, name="alert-receivers"),
    path("receivers/add/", views.add_receiver, name="alert-receiver-add"),
    path("receivers/<int:pk>/try/", views.try_receiver, name="alert-receiver-try"),
    path("receivers/<int:pk>/remove/", views.remove_receiver, name="alert-receiver-remove"),
    # vmalert appends the path of Alertmanager's API to the address that it is given.
    path("receive/api/v2/alerts", views.receive, name="alerts-receive"),
]

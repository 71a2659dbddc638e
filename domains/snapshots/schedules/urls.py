"""Addresses of snapshot schedules, below `/domains/snapshot-schedules/`."""

from django.urls import path

from domains.snapshots.schedules import views

urlpatterns = [
    path("", views.schedules, name="snapshot-schedules"),
    path("add/", views.add, name="snapshot-schedule-add"),
    path("<int:pk>/", views.schedule, name="snapshot-schedule"),
    path("<int:pk>/change/", views.change, name="snapshot-schedule-change"),
    path("<int:pk>/enable/", views.enable, name="snapshot-schedule-enable"),
    path("<int:pk>/remove/", views.remove, name="snapshot-schedule-remove"),
]

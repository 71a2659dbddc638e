"""Addresses of a guest's snapshots, below `/domains/UUID/snapshots/`."""

from django.urls import path

from domains.snapshots import views

urlpatterns = [
    path("take/", views.take, name="snapshot-take"),
    path("flatten/", views.flatten, name="snapshot-flatten"),
    path("<int:pk>/revert/", views.revert, name="snapshot-revert"),
    path("<int:pk>/delete/", views.delete, name="snapshot-delete"),
]

"""Addresses of the balance of a host's cells, below `/hosts/`."""

from django.urls import path

from domains.numa.balance import views

urlpatterns = [
    path("<str:name>/balance/", views.balancing, name="host-balance"),
    path("<str:name>/balance/now/", views.balance, name="host-balance-now"),
    path("<str:name>/balance/undo/", views.undo, name="host-balance-undo"),
]

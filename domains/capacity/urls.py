"""Addresses of the capacity pages, below `/capacity/`."""

from django.urls import path

from domains.capacity import views

urlpatterns = [
    path("", views.capacity, name="capacity"),
    path("guests/", views.guests, name="capacity-guests"),
    path("what-if/", views.what_if, name="capacity-what-if"),
    path("mail/", views.weekly_mail, name="capacity-mail"),
    path("<slug:name>.csv", views.table, name="capacity-table"),
    path("hosts/<str:name>/", views.host, name="capacity-host"),
]

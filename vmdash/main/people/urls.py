"""Addresses of the pages about people, below `/people/`."""

from django.urls import path

from vmdash.main.people import group_views, person_views, views

urlpatterns = [
    path("", views.people, name="people"),
    path("add/", person_views.add, name="person-add"),
    path("roles/", views.roles, name="people-roles"),
    path("grants/give/", views.give, name="grant-give"),
    path("grants/<int:pk>/end/", views.end, name="grant-end"),
    path("groups/", group_views.groups, name="groups"),
    path("groups/add/", group_views.add, name="group-add"),
    path("groups/<int:pk>/", group_views.group, name="group"),
    path("groups/<int:pk>/join/", group_views.join, name="group-join"),
    path("groups/<int:pk>/leave/", group_views.leave, name="group-leave"),
    path("groups/<int:pk>/remove/", group_views.remove, name="group-remove"),
    path("<int:pk>/", person_views.person, name="person"),
    path("<int:pk>/role/", person_views.role, name="person-role"),
    path("<int:pk>/switch/", person_views.switch, name="person-switch"),
    path("<int:pk>/password/", person_views.password, name="person-password"),
]

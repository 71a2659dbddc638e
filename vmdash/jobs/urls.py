from django.urls import path

from vmdash.jobs import views

urlpatterns = [
    path("", views.jobs, name="jobs"),
    path("tray/", views.tray, name="job-tray"),
    path("<uuid:pk>/", views.job, name="job"),
    path("<uuid:pk>/cancel/", views.cancel, name="job-cancel"),
    path("<uuid:pk>/retry/", views.retry, name="job-retry"),
]

from django.urls import path

from vmdash.access.trail import views

urlpatterns = [
    path("", views.audit, name="audit"),
    path("export.jsonl", views.export, name="audit-export"),
]

from django.urls import path

from vmdash.api import views

urlpatterns = [
    path("tokens/", views.tokens, name="tokens"),
    path("tokens/<int:pk>/withdraw/", views.withdraw, name="token-withdraw"),
    path("api/v1/docs", views.docs, name="api-docs"),
]

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "vmdash.api"
    label = "api"

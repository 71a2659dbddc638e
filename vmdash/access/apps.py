from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "vmdash.access"
    label = "access"

from django.apps import AppConfig


class LiveConfig(AppConfig):
    name = "vmdash.live"
    label = "live"

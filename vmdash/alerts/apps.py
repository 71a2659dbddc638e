from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "vmdash.alerts"
    label = "alerts"

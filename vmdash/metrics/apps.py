from django.apps import AppConfig


class MetricsConfig(AppConfig):
    name = "vmdash.metrics"
    label = "metrics"

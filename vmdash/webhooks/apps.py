from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "vmdash.webhooks"
    label = "webhooks"

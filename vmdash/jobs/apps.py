from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "vmdash.jobs"
    label = "jobs"

from django.apps import AppConfig


class LabConfig(AppConfig):
    name = "vmdash.lab"
    label = "lab"

    def ready(self) -> None:
        from vmdash.lab.layout import Lab

        Lab.from_environment()  # reads its variables now, so that a wrong one is told of at once

from django.apps import AppConfig


class MainConfig(AppConfig):
    name = "vmdash.main"
    label = "main"

    def ready(self) -> None:
        from vmdash import checks  # noqa: F401  (registers them)

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "vmdash.api"
    label = "api"

    def ready(self) -> None:
        from vmdash.access import bearers
        from vmdash.api.tokens import people_of, withdraw_all_of

        bearers.register(people_of, withdraw_all_of)

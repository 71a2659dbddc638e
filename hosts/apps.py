from django.apps import AppConfig


class HostsConfig(AppConfig):
    name = "hosts"

    def ready(self) -> None:
        from hosts import onboarding  # noqa: F401  (registers its job)
        from hosts.ksm import job  # noqa: F401  (registers its job)

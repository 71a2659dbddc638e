from django.apps import AppConfig


class HostsConfig(AppConfig):
    name = "hosts"

    def ready(self) -> None:
        from hosts import onboarding  # noqa: F401  (registers its job)
        from hosts.ksm import job  # noqa: F401  (registers its job)
        from hosts.models import Host, Site, Tag
        from hosts.places import HOST_PATHS, SITE_PATHS, TAG_PATHS
        from vmdash.access import subjects

        subjects.register(subjects.Subject.HOST, Host.objects.all, HOST_PATHS)
        subjects.register(subjects.Subject.SITE, Site.objects.all, SITE_PATHS)
        subjects.register(subjects.Subject.TAG, Tag.objects.all, TAG_PATHS)

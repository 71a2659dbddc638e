from django.apps import AppConfig


class DomainsConfig(AppConfig):
    name = "domains"

    def ready(self) -> None:
        from domains import action_jobs  # noqa: F401  (declares its job kinds)
        from domains.capacity.pool_forecasts import pool_forecasts
        from domains.cloning import many, marking  # noqa: F401  (declare their job kinds)
        from domains.consoles import opening  # noqa: F401  (declares its job kind)
        from domains.defining import jobs as defining  # noqa: F401  (declares its job kind)
        from domains.disk_uses import guests_disks
        from domains.draining import job as draining_job  # noqa: F401  (declares its job kinds)
        from domains.migration import check_job, job  # noqa: F401  (declare their job kinds)
        from domains.models import Domain
        from domains.numa import job as placing  # noqa: F401  (declares its job kind)
        from domains.numa.balance import job as balancing  # noqa: F401  (declares its job kind)
        from domains.places import GUEST_PATHS
        from domains.snapshots import kinds  # noqa: F401  (declares its job kinds)
        from domains.tuning import job as tuning  # noqa: F401  (declares its job kind)
        from storage import forecasts, uses
        from vmdash.access import subjects

        forecasts.register(pool_forecasts)
        uses.register(guests_disks)
        subjects.register(subjects.Subject.GUEST, Domain.objects.all, GUEST_PATHS)

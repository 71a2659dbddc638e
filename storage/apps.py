from django.apps import AppConfig


class StorageConfig(AppConfig):
    name = "storage"

    def ready(self) -> None:
        from storage import pool_jobs, sharing, upload_jobs, volume_jobs  # noqa: F401  (declare their job kinds)

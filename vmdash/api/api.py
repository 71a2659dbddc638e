"""The API itself: its document, and the operations that are a part of it."""

from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.api import problems
from vmdash.api.bearer import Bearer, signed_in
from vmdash.api.once import PARAMETER
from vmdash.api.operations import (
    alerts,
    audit,
    balance,
    capacity,
    consoles,
    credentials,
    draining,
    grants,
    groups,
    guests,
    host_entry,
    host_tests,
    hosts,
    images,
    jobs,
    ksm,
    moves,
    numa,
    past,
    people,
    receivers,
    schedules,
    snapshots,
    storage,
    transfers,
    tuning,
    volumes,
    webhooks,
)

PREFIX = "/api/v1/"
_ABOUT = """Everything that the pages can do, through the same services and with the same rights.

Make a token under *My tokens* (on the page of your account) and send it: `Authorization: Bearer TOKEN`. What you may
not see is not found (404), what you may see and not do is refused (403). What changes something becomes a job: ask for
it until it has ended. Answers to GET have an `ETag`; send it as `If-None-Match` and get 304 while nothing has changed.
More requests per minute than are allowed are answered 429, with `Retry-After`."""


class Api(NinjaAPI):
    """Its document says of every operation which problems it may answer with."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        for router in self._get_bound_routers():
            for view in router.path_operations.values():
                for operation in view.operations:
                    if getattr(operation.view_func, "makes_something", False):
                        operation.openapi_extra = {"parameters": [PARAMETER]}
        document = super().get_openapi_schema(path_prefix=PREFIX)
        document["components"]["schemas"]["Problem"] = problems.SCHEMA
        content = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["summary"] = operation["operationId"].replace("_", " ").capitalize()
                for status in problems.STATUSES:
                    answer = {"description": status.phrase, "content": content}
                    operation["responses"].setdefault(int(status), answer)
        return document


api = Api(
    title="vmdash",
    version="1",
    description=_ABOUT,
    auth=Bearer(),
    openapi_url=None,
    docs_url=None,
)
problems.teach(api)
for prefix, router in (
    ("/hosts", hosts.router),
    ("/hosts", host_entry.router),
    ("/hosts", host_tests.router),
    ("/hosts", ksm.router),
    ("/hosts", draining.router),
    ("/hosts", balance.router),
    ("/credentials", credentials.router),
    ("/snapshot-schedules", schedules.router),
    ("/guests", guests.router),
    ("/guests", moves.router),
    ("/guests", snapshots.router),
    ("/guests", tuning.router),
    ("/guests", numa.router),
    ("/guests", consoles.router),
    ("/jobs", jobs.router),
    ("/jobs", moves.orders),
    ("/pools", storage.router),
    ("/pools", volumes.router),
    ("/pools", transfers.begun),
    ("/uploads", transfers.router),
    ("/images", images.router),
    ("/audit", audit.router),
    ("/receivers", receivers.router),
    ("/webhooks", webhooks.router),
    ("/capacity", capacity.router),
    ("/fleet", past.router),
    ("/alerts", alerts.router),
    ("/silences", alerts.silences),
    ("/grants", grants.router),
    ("/people", people.router),
    ("/groups", groups.router),
):
    api.add_router(prefix, router)


@api.get("/openapi.json", auth=[Bearer(), signed_in], include_in_schema=False)
@allow(Permission.VIEW)
def document(request: SignedInRequest) -> Any:
    """The OpenAPI document."""
    return api.get_openapi_schema()

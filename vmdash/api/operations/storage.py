"""Storage pools."""

from datetime import datetime

from django.http import Http404
from ninja import Field, Query, Router, Schema, Status

from hosts.models import Host
from storage import pool_pages, pool_services
from storage.models import Pool as Row
from storage.pool_forms import PoolFilter, PoolForm
from storage.pool_pages import PoolRow
from storage.timeline import pool_charts
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.api.charts import Charts, Range, charts_over
from vmdash.api.checked import checked
from vmdash.api.once import once
from vmdash.api.operations.hosts import find_host
from vmdash.api.operations.jobs import Job, asked_for
from vmdash.api.shapes import Input, Line, Paging, Window, same_named
from vmdash.exceptions import InvalidInput
from vmdash.virt.xml.pool_types import POOL_TYPES

router = Router(tags=["storage"])


class Pool(Schema):
    host: str
    name: str
    uuid: str
    type: str
    state: str
    persistent: bool
    autostart: bool
    capacity_bytes: int
    allocation_bytes: int
    available_bytes: int
    promised_bytes: int = Field(description="How large its volumes may become all together.")
    volumes: int
    path: str
    source: str
    storage: str = Field(description="What several pools show together; empty for what is on its own.")
    seen_at: datetime
    trouble: str = Field(description="Why this may be old, or wrong.")

    @classmethod
    def of(cls, row: PoolRow) -> "Pool":
        pool = row.pool
        plain = (
            "name", "type", "state", "persistent", "autostart", "capacity_bytes", "allocation_bytes",
            "available_bytes", "path", "source", "seen_at",
        )  # fmt: skip
        return cls(
            **same_named(pool, *plain),
            host=pool.host.name,
            uuid=str(pool.uuid),
            promised_bytes=row.promised_bytes,
            volumes=row.volumes,
            storage=pool.storage.name if pool.storage else "",
            trouble=row.trouble,
        )


class PoolFilters(Paging):
    q: Line = Field("", description="In the name, path or source.")
    host: Line = ""
    type: Line = ""
    sort: Line = Field("", description="As on the page: `name`, `-used`, `free`, …")


class PoolWish(Input):
    host: Line
    name: Line
    type: Line = Field(description="libvirt's: dir, fs, netfs, logical, iscsi, rbd, zfs, …")
    fields: dict[Line, Line] = Field(
        {},
        max_length=20,
        description="What the type needs: path, hosts, folder, devices, source_name, format, adapter, initiator, "
        "username, secret.",
    )
    build: bool = False
    start: bool = True
    autostart: bool = True


class PoolActionWish(Input):
    action: Line = Field(description="start, stop, refresh, build, delete, undefine, autostart_on, autostart_off.")
    confirm: Line = Field("", description="The pool's name, for what destroys something.")
    overwrite: bool = Field(False, description="For build: what is on the devices is destroyed.")


@router.get("", response=Window[Pool])
@allow(Permission.VIEW)
def list_pools(request: SignedInRequest, filters: Query[PoolFilters]) -> Window[Pool]:
    hosts, types = pool_pages.pool_choices(request.user)
    form = PoolFilter(filters.dict(exclude={"offset", "limit"}), hosts=hosts, types=types)
    checked(form)
    groups, total = pool_pages.pool_groups(request.user, **form.conditions())
    rows = [row for group in groups for row in group.rows]
    return Window[Pool].out_of([Pool.of(row) for row in filters.of(rows)], total, filters)


@router.post("", response={202: Job})
@allow(Permission.STORAGE)
@once
def define_pool(request: SignedInRequest, wish: PoolWish) -> Status[Job]:
    """Have a pool defined on a host and, as asked for, built and started."""
    host = find_host(request, wish.host, Permission.STORAGE)
    kind = POOL_TYPES.get(wish.type)
    if kind is None:
        raise InvalidInput(f"There is no type {wish.type[:40]!r}.", hint=f"Types: {', '.join(POOL_TYPES)}.")
    if unknown := wish.fields.keys() - {field.value for field in kind.fields}:
        known = ", ".join(field.value for field in kind.fields)
        raise InvalidInput(f"A {kind.key} pool has no {', '.join(sorted(unknown))}.", hint=f"It has: {known}.")
    enabled = Host.objects.open_to(request.user, Permission.STORAGE).filter(enabled=True)
    sent = {**wish.fields, **wish.dict(exclude={"fields", "type"})}
    form = PoolForm(sent, kind=kind, hosts=[(one, one) for one in enabled.values_list("name", flat=True)])
    checked(form)
    return asked_for(request, pool_services.define(host=host, spec=form.spec(), user=request.user, **form.asked()))


@router.get("/{host}/{pool}", response=Pool)
@allow(Permission.VIEW)
def get_pool(request: SignedInRequest, host: Line, pool: Line) -> Pool:
    found = find_pool(request, host, pool)
    return Pool.of(pool_pages.pool_rows(Row.objects.visible_to(request.user).filter(pk=found.pk))[0])


@router.get("/{host}/{pool}/metrics", response=Charts)
@allow(Permission.VIEW)
def get_pool_metrics(request: SignedInRequest, host: Line, pool: Line, over: Query[Range]) -> Charts:
    """How full it was."""
    found = find_pool(request, host, pool)
    return charts_over(over, lambda window: pool_charts(found, window))


@router.post("/{host}/{pool}/actions", response={202: Job})
@allow(Permission.STORAGE)
@once
def act_on_pool(request: SignedInRequest, host: Line, pool: Line, wish: PoolActionWish) -> Status[Job]:
    found = find_pool(request, host, pool)
    return asked_for(request, pool_services.act(pool=found, user=request.user, **wish.dict()))


def find_pool(request: SignedInRequest, host: str, name: str, permission: Permission | None = None) -> Row:
    """Raises Http404, and PermissionDenied for who sees it and lacks `permission` to it."""
    pools = Row.objects.visible_to(request.user).select_related("host", "storage")
    found = pools.filter(host__name=host, name=name).first()
    if found is None:
        raise Http404(f"There is no pool {name} on {host}.")
    if permission:
        check(request, permission, found)
    return found

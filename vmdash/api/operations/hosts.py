"""Hosts."""

from datetime import datetime

from django.http import Http404
from ninja import Field, Query, Router, Schema, Status

from hosts import services
from hosts.forms import HostFilter
from hosts.models import Host as Row
from hosts.selectors import HostFigures, host_list, sites_and_tags, with_figures
from hosts.timeline import host_charts
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.api.charts import Charts, Range, charts_over
from vmdash.api.checked import checked
from vmdash.api.shapes import Input, Line, Paging, Window, moment, same_named
from vmdash.exceptions import InvalidInput

router = Router(tags=["hosts"])


class Figures(Schema):
    """The newest; unknown is null."""

    measured_at: datetime | None
    cpu_percent: float | None
    steal_percent: float | None
    memory_used_kib: int | None


class Host(Schema):
    name: str
    site: str
    tags: list[str]
    description: str
    enabled: bool
    state: str = Field(description="up, unreachable, refused, new or disabled.")
    state_words: str
    state_since: datetime
    trouble: str = Field(description="Why nothing is read from it, and what to do.")
    last_seen_at: datetime | None
    maintenance: str
    driver: str
    transport: str
    address: str
    hostname: str
    hypervisor: str
    hypervisor_version: str
    libvirt_version: str
    arch: str
    cpu_model: str
    cpus: int
    sockets: int
    cores: int
    threads: int
    memory_kib: int
    guests: int
    running: int
    given_vcpus: int = Field(description="vCPUs of guests that run.")
    given_memory_kib: int
    figures: Figures

    @classmethod
    def of(cls, row: HostFigures) -> "Host":
        host = row.host
        plain = same_named(
            host,
            "name", "description", "enabled", "state_since", "maintenance", "driver", "transport", "address",
            "hostname", "hypervisor", "hypervisor_version", "libvirt_version", "arch", "cpu_model", "cpus",
            "sockets", "cores", "threads", "memory_kib",
        )  # fmt: skip
        return cls(
            **plain,
            site=host.site.name if host.site else "",
            tags=[tag.name for tag in host.tags.all()],
            state=str(row.status.shown),
            state_words=row.status.words,
            trouble=row.trouble,
            last_seen_at=moment(row.seen_at_ms),
            guests=row.guests,
            running=row.running,
            given_vcpus=row.given.vcpus,
            given_memory_kib=row.given.memory_kib,
            figures=Figures(
                measured_at=moment(row.tick["at"] if row.tick else None),
                cpu_percent=row.cpu,
                steal_percent=row.steal,
                memory_used_kib=row.memory_used_kib,
            ),
        )


class HostFilters(Paging):
    q: Line = Field("", description="In the name, address or description.")
    state: Line = ""
    site: Line = ""
    tag: Line = ""
    sort: Line = Field("", description="As on the page: `name`, `-cpu`, `steal`, `memory`, `guests`, …")


class Switch(Input):
    enabled: bool


@router.get("", response=Window[Host])
@allow(Permission.VIEW)
def list_hosts(request: SignedInRequest, filters: Query[HostFilters]) -> Window[Host]:
    sites, tags = sites_and_tags(request.user)
    form = HostFilter(filters.dict(exclude={"offset", "limit"}), sites=sites, tags=tags)
    checked(form)
    rows = host_list(request.user, **form.conditions())
    return Window[Host].out_of([Host.of(row) for row in filters.of(rows)], len(rows), filters)


@router.get("/{host}", response=Host)
@allow(Permission.VIEW)
def get_host(request: SignedInRequest, host: Line) -> Host:
    return shown(request, find_host(request, host))


@router.get("/{host}/metrics", response=Charts)
@allow(Permission.VIEW)
def get_host_metrics(request: SignedInRequest, host: Line, over: Query[Range]) -> Charts:
    """Its charts in figures."""
    found = find_host(request, host)
    return charts_over(over, lambda window: host_charts(found, window))


@router.patch("/{host}", response=Host)
@allow(Permission.MANAGE_HOSTS)
def switch_host(request: SignedInRequest, host: Line, wish: Switch) -> Host:
    """Begin or stop to collect from it."""
    found = find_host(request, host, Permission.MANAGE_HOSTS)
    services.set_enabled(user=request.user, host=found, enabled=wish.enabled)
    return shown(request, found)


@router.delete("/{host}", response={204: None})
@allow(Permission.MANAGE_HOSTS)
def remove_host(request: SignedInRequest, host: Line, confirm: Line) -> Status[None]:
    """Remove it from vmdash, with the rows of its guests; nothing happens to the guests. `confirm` is its name."""
    found = find_host(request, host, Permission.MANAGE_HOSTS)
    if confirm != found.name:
        raise InvalidInput(f"To remove {found.name}, send its name as confirm.")
    services.remove_host(user=request.user, host=found)
    return Status(204, None)


def find_host(request: SignedInRequest, name: str, permission: Permission | None = None) -> Row:
    """Raises Http404, and PermissionDenied for who sees it and lacks `permission` to it."""
    found = Row.objects.visible_to(request.user).filter(name=name).first()
    if found is None:
        raise Http404(f"There is no host {name}.")
    if permission:
        check(request, permission, found)
    return found


def shown(request: SignedInRequest, found: Row) -> Host:
    """As its row is now."""
    return Host.of(with_figures(Row.objects.visible_to(request.user).filter(pk=found.pk))[0])

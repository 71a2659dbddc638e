"""The pages about pools and backing chains. Reading is for everybody who may view, changing for Permission.STORAGE."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hosts.models import Host
from storage import pool_pages, pool_services
from storage.models import Pool
from storage.pool_actions import ACTIONS
from storage.pool_columns import columns
from storage.pool_forms import PoolFilter, PoolForm
from storage.pool_services import ConfirmationNeeded
from storage.timeline import pool_charts, pool_events
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission, can_everywhere
from vmdash.exceptions import InvalidInput, NotPermitted, VmdashError
from vmdash.metrics.panel import Form, Panel, answer, chosen_window
from vmdash.virt.xml.pool_types import POOL_TYPES


def _pool(request: SignedInRequest, host: str, name: str) -> Pool:
    pool = Pool.objects.visible_to(request.user).select_related("host", "storage")
    found = pool.filter(host__name=host, name=name).first()
    if found is None:
        raise Http404(f"There is no pool {name} on {host}.")
    return found


@require_safe
@allow(Permission.VIEW)
def pools(request: SignedInRequest) -> HttpResponse:
    """The pools of all hosts. Filter and order stand in the URL."""
    hosts, types = pool_pages.pool_choices(request.user)
    form = PoolFilter(request.GET, hosts=hosts, types=types)
    wanted = form.conditions() if form.is_valid() else None
    groups, shown = pool_pages.pool_groups(request.user, **wanted) if wanted is not None else ([], 0)
    context = {
        "form": form,
        "groups": groups,
        "shown": shown,
        "total": Pool.objects.visible_to(request.user).count(),
        "may_change": can_everywhere(request.user, Permission.STORAGE)
        or Host.objects.open_to(request.user, Permission.STORAGE).exists(),
        "columns": columns(wanted["sort"] if wanted else "name"),
    }
    return render(request, "storage/pools.html", context, status=200 if wanted is not None else 400)


@require_safe
@allow(Permission.VIEW)
def pool(request: SignedInRequest, host: str, name: str) -> HttpResponse:
    """One pool with its volumes."""
    page = pool_pages.pool_page(
        request.user, host, name, text=request.GET.get("q", ""), number=request.GET.get("page", "1")
    )
    if page is None:
        raise Http404(f"There is no pool {name} on {host}.")
    window = chosen_window(request.GET)
    address = reverse("pool-charts", args=[host, name, "json"]).removesuffix(".json")
    panel = Panel(address, window, pool_charts(page.pool, window))
    return render(request, "storage/pool.html", {"page": page, "pool": page.pool, "row": page.row, "panel": panel})


@require_safe
@allow(Permission.VIEW)
def chart_data(request: SignedInRequest, host: str, name: str, form: Form) -> HttpResponse:
    """How full it was, in figures; 503 while the history store does not answer."""
    found = _pool(request, host, name)
    return answer(
        request.GET,
        form,
        f"{host}-{name}",
        lambda window: pool_charts(found, window),
        lambda window: pool_events(found, request.user, window),
    )


@require_POST
@allow(Permission.VIEW)
def act(request: SignedInRequest, host: str, name: str) -> HttpResponse:
    """Fields: `action` (a key of `ACTIONS`), `confirm` (the pool's name, where needed), `overwrite` (for build)."""
    pool = _pool(request, host, name)
    action, confirm = request.POST.get("action", ""), request.POST.get("confirm", "")
    overwrite = "overwrite" in request.POST
    try:
        job = pool_services.act(pool=pool, action=action, user=request.user, confirm=confirm, overwrite=overwrite)
    except ConfirmationNeeded as error:
        context = {"pool": pool, "action": ACTIONS[action], "error": error, "tried": confirm, "overwrite": overwrite}
        return render(request, "storage/confirm.html", context)
    except VmdashError as error:
        return _refused(request, error, _url(pool))
    messages.success(request, f"Asked for: {job.label}.")
    return redirect(reverse("storage") if action == "undefine" else _url(pool))


@require_POST
@allow(Permission.STORAGE)
def compare(request: SignedInRequest, host: str, name: str) -> HttpResponse:
    """Try out whether the pools in `with` (ids) are the same storage as this one."""
    pool = _pool(request, host, name)
    check(request, Permission.STORAGE, pool)
    ids = [text for text in request.POST.getlist("with") if text.isdecimal() and len(text) < 19]
    others = Pool.objects.visible_to(request.user).select_related("host").filter(pk__in=ids)
    try:
        job = pool_services.check_sharing(pools=[pool, *others], user=request.user)
    except VmdashError as error:
        messages.error(request, str(error))
        return redirect(_url(pool))
    return redirect("job", job.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.STORAGE)
def define(request: SignedInRequest) -> HttpResponse:
    """First the type is chosen, then the form with its fields comes."""
    kind = POOL_TYPES.get(request.GET.get("type", ""))
    host = request.GET.get("host", "")
    if kind is None:
        return render(request, "storage/types.html", {"types": POOL_TYPES.values(), "host": host})
    visible = Host.objects.open_to(request.user, Permission.STORAGE).filter(enabled=True)
    hosts = [(one, one) for one in visible.values_list("name", flat=True)]
    form = PoolForm(request.POST or None, kind=kind, hosts=hosts, initial={"host": host})
    if request.method == "POST" and form.is_valid():
        try:
            target = visible.get(name=form.cleaned_data["host"])
            job = pool_services.define(host=target, spec=form.spec(), user=request.user, **form.asked())
            return redirect("job", job.pk)
        except VmdashError as error:
            form.add_error(None, str(error))
    return render(request, "storage/define.html", {"form": form, "kind": kind})


@require_safe
@allow(Permission.VIEW)
def chains(request: SignedInRequest) -> HttpResponse:
    """Every image that others lie on, with all that lies on it and who uses it."""
    page = pool_pages.chains_page(request.user, text=request.GET.get("q", ""), number=request.GET.get("page", "1"))
    return render(request, "storage/chains.html", {"chains": page})


def _url(pool: Pool) -> str:
    return reverse("pool", args=[pool.host.name, pool.name])


def _refused(request: SignedInRequest, error: VmdashError, back: str) -> HttpResponse:
    match error:
        case InvalidInput():
            raise BadRequest(str(error)) from error
        case NotPermitted():
            raise PermissionDenied(str(error)) from error
    messages.error(request, str(error))
    return redirect(back)

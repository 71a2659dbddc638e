"""The list of people, their grants, and who may do what."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.models import Group
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hosts.columns import column
from vmdash.access import granting
from vmdash.access.explain import explain
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.models import Grant, User
from vmdash.access.people import find_people, known_groups, known_people, manages_all, people_rows
from vmdash.access.roles import ROLE_PERMISSIONS, Permission, Role
from vmdash.exceptions import VmdashError
from vmdash.main.people.answers import choices, tell
from vmdash.main.people.forms import GrantForm, PeopleSearch, QuestionForm

PAGE_SIZE = 100


@require_safe
@allow(Permission.MANAGE_PEOPLE)
def people(request: SignedInRequest) -> HttpResponse:
    """Search, order and page stand in the URL."""
    form = PeopleSearch(request.GET)
    valid = form.is_valid()
    asked = form.cleaned_data if valid else {}
    sort = asked.get("sort") or "name"
    found = find_people(request.user, q=asked.get("q", ""), state=asked.get("state", ""), sort=sort)
    page = Paginator(found if valid else User.objects.none(), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "form": form,
        "page": page,
        "rows": people_rows(list(page), request.user),
        "by_name": column("name", "Name", "", False, sort=sort),
        "by_seen": column("seen", "Last sign-in", "", True, sort=sort),
        "filtered": any(request.GET.get(name) for name in ("q", "state")),
        "manages_all": manages_all(request.user),
    }
    return render(request, "people/list.html", context, status=200 if valid else 400)


@require_safe
@allow(Permission.MANAGE_PEOPLE)
def roles(request: SignedInRequest) -> HttpResponse:
    """The one table; and what could this person do to that thing, and why?"""
    asked = "person" in request.GET
    form = QuestionForm(request.user, known_people(request.user), request.GET if asked else None)
    context = {
        "form": form,
        "roles": list(Role),
        "table": [(one, [one in ROLE_PERMISSIONS[role] for role in Role]) for one in Permission],
        **choices(request.user),
    }
    if not asked:
        return render(request, "people/roles.html", context)
    if not form.is_valid():
        return render(request, "people/roles.html", context, status=400)
    person, thing = form.cleaned_data["person"], form.cleaned_data["thing"]
    context |= {"person": person, "on": _words(form), "verdicts": explain(person, thing)}
    return render(request, "people/roles.html", context)


def _words(form: QuestionForm) -> str:
    kind, thing = form.cleaned_data["kind"], form.cleaned_data["thing"]
    return "everything" if thing is None else f"{kind} {thing}"


@require_http_methods(["GET", "HEAD", "POST"])
@allow(Permission.MANAGE_PEOPLE)
def give(request: SignedInRequest) -> HttpResponse:
    """POST: leads to the person or group who has it now."""
    if request.method != "POST":
        return _show_give(request, GrantForm(request.user))
    form = GrantForm(request.user, request.POST)
    if not form.is_valid():
        return _show_give(request, form, 400)
    given, thing = form.cleaned_data, form.cleaned_data["thing"]
    try:
        grant = granting.give(
            request.user, to=given["to"], role=given["role"], scope=given["scope"],
            scope_id="" if thing is None else thing.pk, until=given["until"],
        )  # fmt: skip
    except VmdashError as error:
        return _show_give(request, form, tell(request, error))
    messages.success(request, f"{grant.holder_name} has the role {grant.get_role_display().lower()} on {grant.on} now.")
    return _to_holder(request, grant.group or grant.person)


def _show_give(request: SignedInRequest, form: GrantForm, status: int = 200) -> HttpResponse:
    return render(request, "people/give.html", {"grant_form": form, **choices(request.user)}, status=status)


@require_POST
@allow(Permission.MANAGE_PEOPLE)
def end(request: SignedInRequest, pk: int) -> HttpResponse:
    grant = get_object_or_404(Grant.objects.visible_to(request.user).select_related("group", "person"), pk=pk)
    holder = grant.group or grant.person
    try:
        granting.end(request.user, grant)
    except VmdashError as error:
        tell(request, error)
    else:
        messages.success(request, f"Ended: {grant}. Pages that are open show it within two seconds.")
    return _to_holder(request, holder)


def _to_holder(request: SignedInRequest, holder: User | Group | None) -> HttpResponse:
    """Their page; or the list, for who saw them only by the grant that was just ended."""
    is_group = isinstance(holder, Group)
    known = known_groups(request.user) if is_group else known_people(request.user)
    if holder is None or not known.filter(pk=holder.pk).exists():
        return redirect("groups" if is_group else "people")
    return redirect("group" if is_group else "person", holder.pk)

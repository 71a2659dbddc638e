"""Groups, their members, and what they were granted."""

from __future__ import annotations

from collections import defaultdict

from django.contrib import messages
from django.contrib.auth.models import Group
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from vmdash.access import accounts
from vmdash.access.guards import SignedInRequest, allow, allow_everywhere
from vmdash.access.models import Grant, User
from vmdash.access.people import known_groups, known_people, manages_all
from vmdash.access.roles import Permission
from vmdash.exceptions import InvalidInput, VmdashError
from vmdash.main.people.answers import held, tell
from vmdash.main.people.forms import GroupForm, MemberForm


@require_safe
@allow(Permission.MANAGE_PEOPLE)
def groups(request: SignedInRequest) -> HttpResponse:
    return _show_groups(request, GroupForm())


@require_POST
@allow_everywhere(Permission.MANAGE_PEOPLE)
def add(request: SignedInRequest) -> HttpResponse:
    form = GroupForm(request.POST)
    if not form.is_valid():
        return _show_groups(request, form, 400)
    try:
        made = accounts.add_group(request.user, form.cleaned_data["name"])
    except InvalidInput as error:
        form.add_error("name", str(error))
        return _show_groups(request, form, 400)
    return redirect("group", made.pk)


def _show_groups(request: SignedInRequest, form: GroupForm, status: int = 200) -> HttpResponse:
    grants: dict[int | None, list[Grant]] = defaultdict(list)
    for grant in Grant.objects.visible_to(request.user).filter(person=None):
        grants[grant.group_id].append(grant)
    rows = [(group, grants[group.pk]) for group in known_groups(request.user)]
    context = {"rows": rows, "form": form, "manages_all": manages_all(request.user)}
    return render(request, "people/groups.html", context, status=status)


@require_safe
@allow(Permission.MANAGE_PEOPLE)
def group(request: SignedInRequest, pk: int) -> HttpResponse:
    return _show(request, _group(request, pk), MemberForm())


def _group(request: SignedInRequest, pk: int) -> Group:
    return get_object_or_404(known_groups(request.user), pk=pk)


def _show(request: SignedInRequest, group: Group, form: MemberForm, status: int = 200) -> HttpResponse:
    context = {
        "group": group,
        "members": known_people(request.user)
        .filter(groups=group)
        .prefetch_related("socialaccount_set")
        .order_by("username"),
        "member_form": form,
        "manages_all": manages_all(request.user),
        **held(request.user, group),
    }
    return render(request, "people/group.html", context, status=status)


@require_POST
@allow_everywhere(Permission.MANAGE_PEOPLE)
def join(request: SignedInRequest, pk: int) -> HttpResponse:
    found, form = _group(request, pk), MemberForm(request.POST)
    if not form.is_valid():
        return _show(request, found, form, 400)
    try:
        accounts.join(request.user, found, form.cleaned_data["person"])
    except VmdashError as error:
        return _show(request, found, form, tell(request, error))
    return redirect("group", pk)


@require_POST
@allow_everywhere(Permission.MANAGE_PEOPLE)
def leave(request: SignedInRequest, pk: int) -> HttpResponse:
    found, number = _group(request, pk), request.POST.get("person", "")
    try:
        if not (number.isascii() and number.isdecimal() and len(number) < 18):
            raise InvalidInput("Say who leaves.")
        accounts.leave(request.user, found, get_object_or_404(User, pk=int(number)))
    except VmdashError as error:
        return _show(request, found, MemberForm(), tell(request, error))
    return redirect("group", pk)


@require_http_methods(["GET", "HEAD", "POST"])
@allow_everywhere(Permission.MANAGE_PEOPLE)
def remove(request: SignedInRequest, pk: int) -> HttpResponse:
    """GET: what is lost. POST: `confirm` is the group's name."""
    found, status = _group(request, pk), 200
    if request.method == "POST":
        try:
            if request.POST.get("confirm") != found.name:
                raise InvalidInput(f"To remove it, type {found.name}.")
            accounts.remove_group(request.user, found)
        except VmdashError as error:
            status = tell(request, error)
        else:
            messages.success(request, f"The group {found.name} is gone, with its grants.")
            return redirect("groups")
    context = {"group": found, "grants": Grant.objects.filter(group=found)}
    return render(request, "people/remove_group.html", context, status=status)

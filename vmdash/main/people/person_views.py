"""The page of one person."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.views import PasswordResetConfirmView
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse, reverse_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from vmdash.access import accounts
from vmdash.access.audit import record
from vmdash.access.guards import SignedInRequest, allow, allow_everywhere
from vmdash.access.models import User
from vmdash.access.people import known_groups, known_people, manages_all
from vmdash.access.roles import Permission
from vmdash.exceptions import InvalidInput, VmdashError
from vmdash.main.people.answers import held, tell
from vmdash.main.people.forms import PersonForm, RoleForm


@require_safe
@allow(Permission.MANAGE_PEOPLE)
def person(request: SignedInRequest, pk: int) -> HttpResponse:
    return _show(request, get_object_or_404(known_people(request.user), pk=pk))


def _show(request: SignedInRequest, who: User, status: int = 200) -> HttpResponse:
    context = {
        "person": who,
        "groups": known_groups(request.user).filter(user=who),
        "role_form": RoleForm(initial={"role": who.role}),
        "manages_all": manages_all(request.user),
        "is_self": who.pk == request.user.pk,
        **held(request.user, who),
    }
    return render(request, "people/person.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@allow_everywhere(Permission.MANAGE_PEOPLE)
def add(request: SignedInRequest) -> HttpResponse:
    form = PersonForm(request.POST or None)
    if request.method != "POST":
        return render(request, "people/add.html", {"form": form})
    if not form.is_valid():
        return render(request, "people/add.html", {"form": form}, status=400)
    given = form.cleaned_data
    try:
        made = accounts.add(request.user, name=given.pop("username"), **given)
    except InvalidInput as error:
        return render(request, "people/add.html", {"form": form}, status=tell(request, error))
    messages.success(request, f"{made.username} is there. They need a password: make a link for them.")
    return redirect("person", made.pk)


@require_POST
@allow_everywhere(Permission.MANAGE_PEOPLE)
def role(request: SignedInRequest, pk: int) -> HttpResponse:
    who = get_object_or_404(known_people(request.user), pk=pk)
    form = RoleForm(request.POST)
    if not form.is_valid() or "role" not in request.POST:
        return _show(request, who, tell(request, InvalidInput("There is no such role.")))
    try:
        accounts.set_role(request.user, who, form.cleaned_data["role"])
    except VmdashError as error:
        return _show(request, who, tell(request, error))
    return redirect("person", pk)


@require_POST
@allow_everywhere(Permission.MANAGE_PEOPLE)
def switch(request: SignedInRequest, pk: int) -> HttpResponse:
    """`to`: `off` or `on`."""
    who = get_object_or_404(known_people(request.user), pk=pk)
    does = {"off": accounts.switch_off, "on": accounts.switch_on}.get(request.POST.get("to", ""))
    try:
        if does is None:
            raise InvalidInput("Say on or off.")
        does(request.user, who)
    except VmdashError as error:
        return _show(request, who, tell(request, error))
    return redirect("person", pk)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allow_everywhere(Permission.MANAGE_PEOPLE)
def password(request: SignedInRequest, pk: int) -> HttpResponse:
    """GET: what it means. POST: a link with which the person chooses a password, shown this once."""
    who = get_object_or_404(known_people(request.user), pk=pk)
    context: dict[str, object] = {"person": who, "is_self": who.pk == request.user.pk}
    if request.method != "POST":
        return render(request, "people/password.html", context)
    try:
        key = accounts.reset_password(request.user, who)
    except VmdashError as error:
        return _show(request, who, tell(request, error))
    context["link"] = request.build_absolute_uri(reverse("new-password", args=[key.person, key.token]))
    return render(request, "people/password.html", context)


class NewPassword(PasswordResetConfirmView):
    """For the bearer of such a link, who is not signed in."""

    template_name = "people/new_password.html"
    success_url = reverse_lazy("sign-in")

    def get_user(self, uidb64: str) -> User | None:
        user = super().get_user(uidb64)
        return user if isinstance(user, User) and user.is_active and not user.kept_by else None

    def form_valid(self, form: object) -> HttpResponse:
        user = self.user
        if not isinstance(user, User):
            raise PermissionDenied("This link works no more.")
        with transaction.atomic():
            record(
                user=user, action="person.password", target_kind="user", target_id=user.pk, target_name=user.username,
                detail="chosen with a link that works once",
            )  # fmt: skip
            response = super().form_valid(form)  # type: ignore[arg-type]
        messages.success(self.request, "The new password is set. Sign in with it.")
        return response

"""What pages about people say to what was refused, and what their forms choose from."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.models import Group

from vmdash.access.guards import SignedInRequest
from vmdash.access.models import Grant, User
from vmdash.access.people import known_groups, known_people
from vmdash.exceptions import InvalidInput, NotFound, NotPermitted, VmdashError
from vmdash.main.people import targets
from vmdash.main.people.forms import GrantForm

_MOST_NAMED = 500
_STATUSES = ((InvalidInput, 400), (NotPermitted, 403), (NotFound, 404))


def tell(request: SignedInRequest, error: VmdashError) -> int:
    """Put it above the page, and return the status that the page has: 409 for what cannot be done now."""
    messages.error(request, str(error))
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 409)


def choices(user: User) -> dict[str, object]:
    """The names that are offered while one writes: few of them, never all of a large fleet."""
    return {
        "known_people": known_people(user).order_by("username").values_list("username", flat=True)[:_MOST_NAMED],
        "known_groups": known_groups(user).values_list("name", flat=True)[:_MOST_NAMED],
        "known_things": list(targets.names(user)),
    }


def held(user: User, to: User | Group) -> dict[str, object]:
    """What somebody holds, as far as `user` sees it, and the form to give more."""
    seen = Grant.objects.visible_to(user).select_related("group", "person", "made_by")
    own = seen.filter(group=to) if isinstance(to, Group) else seen.filter(person=to)
    context: dict[str, object] = {"grants": own, "grant_form": GrantForm(user, to=to), **choices(user)}
    if isinstance(to, User):
        context["through"] = seen.filter(group__in=to.groups.all())
    return context

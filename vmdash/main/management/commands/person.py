"""`manage.py person`: add somebody who may sign in, or give them another role or password."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from allauth.mfa.models import Authenticator
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from vmdash.access import audit
from vmdash.access.models import User
from vmdash.access.roles import Role


class Command(BaseCommand):
    help = "Add a person, or change their role or password. The password is asked for, or read from standard input."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--role", choices=Role.values, help="a new person needs one")
        parser.add_argument("--email", help="their mail address, for those who ask for mail")
        parser.add_argument("--password", action="store_true", help="a new password for somebody who has one already")
        parser.add_argument(
            "--no-second-factor", action="store_true", help="forget the second factor of somebody who lost it"
        )

    def handle(
        self,
        *args: Any,
        name: str,
        role: str | None,
        email: str | None,
        password: bool,
        no_second_factor: bool,
        **options: Any,
    ) -> None:
        user = User.objects.filter(username=name).first()
        if user is None and role is None:
            raise CommandError(f"There is no {name} yet. Give a role: {', '.join(Role.values)}.")
        if user is not None and password and user.kept_by:
            raise CommandError(f"The password of {name} is kept by {user.kept_by}: change it there.")
        is_new = user is None
        user = user or User(username=name)
        user.role = role or user.role
        user.email = user.email if email is None else email
        try:
            if is_new or password:
                user.set_password(_read_password(user))
            user.full_clean()
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        with transaction.atomic():
            user.save()
            audit.record(
                user=None,
                action="person.add" if is_new else "person.change",
                target_kind="user",
                target_id=user.pk,
                target_name=name,
                detail=f"role {user.role}" + (", second factor forgotten" if no_second_factor else ""),
            )
            if no_second_factor:
                Authenticator.objects.filter(user=user).delete()
        self.stdout.write(f"{name} is {Role(user.role).label.lower()}." if user.role else f"{name} has no role.")


def _read_password(user: User) -> str:
    if sys.stdin.isatty():
        password = getpass.getpass()
        if password != getpass.getpass("Again: "):
            raise CommandError("The two passwords differ. Nothing was changed.")
    else:
        password = sys.stdin.readline().rstrip("\n")
    validate_password(password, user)
    return password

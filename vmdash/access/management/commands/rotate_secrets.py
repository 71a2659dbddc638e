"""`manage.py rotate_secrets`: stored secrets get the first key of VMDASH_ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from vmdash.access import rotation
from vmdash.access.audit import record


class Command(BaseCommand):
    help = (
        "Encrypt all stored secrets anew with the first key of VMDASH_ENCRYPTION_KEYS. Put the new key before the old "
        "ones and restart vmdash first; take the old ones out afterwards. May be interrupted and repeated."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        anew = unreadable = total = 0
        for one in rotation.rotate():
            anew, unreadable, total = anew + one.anew, unreadable + len(one.unreadable), total + one.number
            self.stdout.write(f"{one.what}: {one.anew} encrypted anew, {one.before} had the first key already")
            if one.unreadable:
                self.stderr.write(f"{one.what}: no key opens those of the rows {', '.join(one.unreadable)}")
        words = f"{total} secrets: {anew} encrypted anew, {unreadable} that no key opens"
        record(user=None, action="secrets.rotate", target_kind="secrets", detail=words, failed=bool(unreadable))
        if unreadable:
            raise CommandError(
                f"{unreadable} of {total} secrets cannot be read. Add the key that they were written with, or enter "
                "them anew; the others are done."
            )
        self.stdout.write(f"All {total} secrets have the first key. The other keys are not needed any more.")

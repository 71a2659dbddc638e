"""What `manage.py run --demo` adds: the practice fleet, an account for each role, and what to try first."""

from __future__ import annotations

import json
import os
import secrets
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from django.conf import settings

from hosts.portation import import_hosts
from vmdash.access.models import User
from vmdash.access.roles import Role
from vmdash.lab import fleet, inventory
from vmdash.lab.layout import Lab

ACCOUNTS = {
    "viewer": (Role.VIEWER, "sees everything, changes nothing"),
    "helpdesk": (Role.HELP_DESK, "finds, starts and stops guests, opens consoles"),
    "operator": (Role.OPERATOR, "does everything with guests"),
    "admin": (Role.ADMINISTRATOR, "adds hosts, too"),
}


@contextmanager
def practice_fleet(lab: Lab, say: Callable[[str], None]) -> Iterator[Future[None]]:
    """Bring the fleet up, in a thread meanwhile, and take it down at the end. Yields what tells when it is up."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming_up = thread.submit(fleet.up, lab, say)
        try:
            yield coming_up
        finally:
            say("Taking the practice fleet down.")
            previous = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave half of it
            thread.shutdown(cancel_futures=True)
            fleet.down(lab)
            signal.signal(signal.SIGINT, previous)


def furnish(lab: Lab) -> str:
    """Add the accounts and the fleet's hosts, and return what to tell the visitor. The fleet must be up."""
    passwords = _passwords()
    for name, (role, _) in ACCOUNTS.items():
        user, _ = User.objects.get_or_create(username=name, defaults={"role": role})
        if not user.check_password(passwords[name]):
            user.set_password(passwords[name])
            user.save()
    import_hosts(user=None, entries=inventory.inventory(lab))
    return _welcome(lab, passwords)


def _passwords() -> dict[str, str]:
    """A password for each account, made once and kept, so that later runs print the same."""
    file = settings.SECRETS_DIR / "demo_accounts.json"
    if not file.exists():
        made = {name: secrets.token_hex(6) for name in ACCOUNTS}
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            json.dump(made, stream)
    passwords: dict[str, str] = json.loads(file.read_text())
    return passwords


def _welcome(lab: Lab, passwords: dict[str, str]) -> str:
    accounts = "\n".join(f"  {name:<10}{passwords[name]:<16}{abilities}" for name, (_, abilities) in ACCOUNTS.items())
    kvm1, kvm2, _ = (host.uri for host in fleet.hosts(lab))
    ideas = [
        "Keep the fleet page in view and change a guest behind its back, in another terminal:\n"
        f"    virsh -c '{kvm1}' suspend web1\n"
        f"    virsh -c '{kvm1}' resume web1",
        "As helpdesk, find legacy-erp and start it; then look for Force off, which help desk may not use.",
    ]
    if fleet.has_real_guests():
        ideas += [
            "Open web1, then its console, and type into the guest. So with its serial console.",
            "See ci-7 and build-2 fight for the same physical CPU: the fleet page tells what they lose.",
            f"Rename a guest, and watch the list:\n    virsh -c '{kvm2}' domrename backup1 backup2",
        ]
    listed = "\n".join(f"  - {idea}" for idea in ideas)
    return f"Sign in as one of these:\n\n{accounts}\n\nTry this first:\n\n{listed}\n"

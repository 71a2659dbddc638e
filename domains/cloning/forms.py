"""How a guest shall be cloned, and where to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django import forms

from domains.cloning import names
from domains.cloning.plan import disks_of
from domains.cloning.proposal import Wish
from domains.cloning.services import MOST_AT_ONCE
from domains.models import Domain
from hosts.models import Host
from storage.models import Pool
from vmdash import formats
from vmdash.access.roles import Permission
from vmdash.exceptions import InvalidInput

if TYPE_CHECKING:
    from vmdash.access.models import User

KINDS = [
    ("full", "Full: disks of its own, which depend on nothing"),
    ("linked", "Linked: overlays on the disks of a template, made in a moment"),
]


class CloneForm(forms.Form):
    """One field for each disk that gets an image of its own is added: `pool_vda`."""

    name = forms.CharField(
        max_length=80,
        help_text="Several clones: write {n} where the number goes, as in web-{n}; {n:3} makes 001 of 1.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )
    count = forms.IntegerField(min_value=1, max_value=names.MOST_CLONES, initial=1, label="How many")
    first = forms.IntegerField(min_value=0, max_value=1_000_000, initial=1, label="First number")
    kind = forms.ChoiceField(choices=KINDS, widget=forms.RadioSelect)
    place = forms.ChoiceField(label="Host and storage pool")
    start = forms.BooleanField(required=False, label="Start afterwards")
    at_once = forms.IntegerField(
        min_value=1,
        max_value=MOST_AT_ONCE,
        initial=2,
        label="At once",
        help_text="So many are made at a time, where there are several.",
    )

    def __init__(self, domain: Domain, user: User, data: Any = None) -> None:
        self.hosts = {
            str(host.pk): host
            for host in Host.objects.open_to(user, Permission.CLONE).filter(driver=domain.host.driver).order_by("name")
        }
        pools = list(Pool.objects.visible_to(user).filter(host__in=self.hosts.values()).select_related("host"))
        super().__init__(data, initial=_initial(domain))
        self.fields["place"] = forms.ChoiceField(
            label="Host and storage pool",
            choices=list(_places(self.hosts, pools)),
            help_text="Disks can go to different pools of that host: choose them below.",
        )
        pool_names = [(name, name) for name in sorted({pool.name for pool in pools})]
        self.targets = [plan.target for plan in disks_of(domain) if plan.is_copied]
        for target in self.targets:
            label = f"Pool for {target}"
            choices = [("", "as above"), *pool_names]
            self.fields[f"pool_{target}"] = forms.ChoiceField(required=False, label=label, choices=choices)

    @property
    def disk_fields(self) -> list[forms.BoundField]:
        return [self[f"pool_{target}"] for target in self.targets]

    def clean(self) -> dict[str, Any]:
        found = self.cleaned_data
        if {"name", "count", "first"} <= found.keys():
            try:
                found["names"] = names.names(found["name"], found["count"], found["first"])
            except InvalidInput as error:
                self.add_error("name", str(error))
        return found

    def wish(self, macs: list[str]) -> Wish:
        """What was asked for. Only after `is_valid()`."""
        found = self.cleaned_data
        host, _, pool = found["place"].partition("/")
        return Wish(
            names=found["names"],
            host=self.hosts[host],
            linked=found["kind"] == "linked",
            pool=pool,
            pools={target: found[f"pool_{target}"] for target in self.targets if found[f"pool_{target}"]},
            start=found["start"],
            at_once=found["at_once"],
            macs=macs,
        )


def _initial(domain: Domain) -> dict[str, Any]:
    taken = set(Domain.objects.present().filter(host=domain.host_id).values_list("name", flat=True))
    return {
        "name": names.suggestion(domain.name, taken),
        "count": 1,
        "first": 1,
        "kind": "linked" if domain.is_template else "full",
        "place": str(domain.host_id),
        "at_once": 2,
    }


def _places(hosts: dict[str, Host], pools: list[Pool]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A group for each host: each disk where it is now, or all in one pool."""
    for key, host in hosts.items():
        choices = [(key, f"{host.name}, each disk in the pool that it is in now")]
        for pool in pools:
            if pool.host_id == host.pk:
                free = f"{formats.size(pool.available_bytes)} free"
                state = free if pool.state == Pool.State.RUNNING else pool.get_state_display()
                choices.append((f"{key}/{pool.name}", f"{host.name}, pool {pool.name} ({state})"))
        yield host.name, choices

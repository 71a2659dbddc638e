"""What people write to tune a guest. Fields are those of one guest: its disks differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms import BoundField

from domains.models import Domain
from storage.volume_forms import SizeField
from vmdash import formats
from vmdash.virt.xml.throttle import LIMITS, Limits, together
from vmdash.virt.xml.tuning import Tuning

LEAST_MEMORY = 16 << 20
MOST_LIMIT = 10**15
"""QEMU takes no more."""
_MOST_SHARES = 262_144
_KIB = 1024


@dataclass(frozen=True, slots=True)
class DiskFields:
    target: str
    fields: list[BoundField]


class TuneForm(forms.Form):
    """`wanted()` after it is valid. `known` is what the guest has now, or will have at its next start."""

    vcpus = forms.IntegerField()
    memory = SizeField(label="Memory")
    cpu_shares = forms.IntegerField(
        label="CPU shares",
        required=False,
        min_value=2,
        max_value=_MOST_SHARES,
        help_text="Counts only while guests want more CPU time than there is. Empty: as its host gives to all. With "
        "cgroup v2 at most 10,000.",
    )

    def __init__(self, data: Any = None, *, domain: Domain, known: Tuning, **options: Any) -> None:
        first = {
            "vcpus": known.vcpus,
            "memory": exact(known.memory_kib or 0),
            "cpu_shares": known.cpu_shares or "",
        } | {
            field_name(target, key): _text(key, limits.get(key, 0))
            for target, limits in known.disks.items()
            for key in LIMITS
        }
        # What a form leaves out stays as it is: an address may name one thing alone.
        super().__init__(None if data is None else first | data.dict(), initial=first, **options)
        self._known, self._max_memory = known, domain.max_memory_kib * _KIB
        most = max(domain.max_vcpus, domain.vcpus)
        words = f"At most {most}. The maximum itself changes in its definition only."
        self.fields["vcpus"] = forms.IntegerField(label="vCPUs", min_value=1, max_value=most, help_text=words)
        self.fields["memory"].help_text = f"At most {formats.kib(domain.max_memory_kib)}, by its balloon."
        for target in known.disks:
            for key, counted in LIMITS.items():
                self.fields[field_name(target, key)] = _limit_field(target, key, counted)

    def disks(self) -> Iterator[DiskFields]:
        for target in self._known.disks:
            yield DiskFields(target, [self[field_name(target, key)] for key in LIMITS])

    def clean_memory(self) -> int:
        memory: int = self.cleaned_data["memory"]
        if memory == (self._known.memory_kib or 0) * _KIB:
            return memory // _KIB
        if memory < LEAST_MEMORY:
            raise forms.ValidationError(f"A guest needs at least {formats.size(LEAST_MEMORY)}.")
        if memory > self._max_memory:
            raise forms.ValidationError(f"It can have at most {formats.size(self._max_memory)}.")
        return memory // _KIB

    def clean(self) -> dict[str, Any]:
        found = self.cleaned_data
        for target in self._known.disks:
            for kind, plural in (("bytes", "bytes"), ("iops", "operations")):
                total, read, write = (found.get(field_name(target, f"{way}_{kind}_sec")) for way in _WAYS)
                if total and (read or write):
                    self.add_error(
                        field_name(target, f"total_{kind}_sec"),
                        f"{plural} are limited all together, or reads and writes apart, not both.",
                    )
        if not self.errors:
            self._check_groups()
        return found

    def _check_groups(self) -> None:
        """Disks of a group have one limit, whichever of them it is set on."""
        asked: dict[str, tuple[str, dict[str, int]]] = {}
        for target, limits in self._changed():
            group = self._known.groups.get(target)
            if not group or not limits:
                continue
            first, other = asked.setdefault(group, (target, limits))
            if key := _differing(limits, other, LIMITS):
                self._refuse_two(target, key, first)

    def check_said(self, said: Mapping[str, Limits]) -> None:
        """Refuse what another disk of the group would override. ``said``: the limits that were asked for, 0: none; also
        those that a disk has already, which a page sends along and means nothing by. Only after `is_valid()`."""
        changed = dict(self._changed())
        for target, told in said.items():
            first = next((one for one in together(target, self._known.groups) if changed.get(one)), "")
            if target not in changed and first and (key := _differing(told, changed[first], told)):
                self._refuse_two(target, key, first)

    def _refuse_two(self, target: str, key: str, other: str) -> None:
        self.add_error(
            field_name(target, key),
            f"it shares its limits with {other} (group {self._known.groups[target]}): change one of them, or both to "
            "the same.",
        )

    def wanted(self) -> Tuning:
        """What differs from what is known. Only after `is_valid()`."""
        found, known = self.cleaned_data, self._known
        shares = found["cpu_shares"] or 0
        return Tuning(
            vcpus=found["vcpus"] if found["vcpus"] != known.vcpus else None,
            memory_kib=found["memory"] if found["memory"] != known.memory_kib else None,
            cpu_shares=shares if shares != (known.cpu_shares or 0) else None,
            disks=dict(self._changed()),
        )

    def asked(self) -> Iterator[tuple[str, str]]:
        """The fields that make up `wanted`, as they were written: what else is known may change meanwhile."""
        wanted = self.wanted()
        scalars = {"vcpus": wanted.vcpus, "memory": wanted.memory_kib, "cpu_shares": wanted.cpu_shares}
        names = [name for name, value in scalars.items() if value is not None]
        names += [field_name(target, key) for target in wanted.disks for key in LIMITS]
        for name in names:
            yield name, str(self.data[name])

    def _changed(self) -> Iterator[tuple[str, dict[str, int]]]:
        for target, old in self._known.disks.items():
            limits = self._limits(target, old)
            if _differing(limits, old, LIMITS):
                yield target, limits

    def _limits(self, target: str, old: Limits) -> dict[str, int]:
        """Those that were written, and the bursts that were allowed beyond them."""
        limits = {key: value for key in LIMITS if (value := self.cleaned_data.get(field_name(target, key)) or 0)}
        bursts = {key: value for key, value in old.items() if key not in LIMITS and key.partition("_max")[0] in limits}
        return limits | bursts


_WAYS = ("total", "read", "write")


def _differing(limits: Limits, others: Limits, keys: Iterable[str]) -> str:
    """The first of these limits that is another; empty: none is."""
    return next((key for key in keys if limits.get(key, 0) != others.get(key, 0)), "")


def field_name(target: str, key: str) -> str:
    return f"{target}.{key}"


def exact(kib: int) -> str:
    """A size that is read back as the same: 98304 → "96 MiB", 98305 → "98305 KiB"."""
    for unit, name in ((1 << 20, "GiB"), (1 << 10, "MiB")):
        if kib and kib % unit == 0:
            return f"{kib // unit} {name}"
    return f"{kib} KiB"


def _text(key: str, value: int) -> str:
    if not value:
        return ""
    if "bytes" not in key:
        return str(value)
    return exact(value // _KIB) if value % _KIB == 0 else f"{value} B"


class _LimitField(SizeField):
    def clean(self, value: Any) -> Any:
        found = super().clean(value)
        if found > MOST_LIMIT:
            raise forms.ValidationError("That is too much.")
        return found


def _limit_field(target: str, key: str, counted: str) -> forms.Field:
    what = "Bytes" if "bytes" in key else "Operations"
    attributes = {
        "aria-label": f"{target}: {what.lower()} per second, {counted}",
        "placeholder": "none",
        "autocomplete": "off",
        "size": "9",
    }
    if "bytes" in key:
        return _LimitField(required=False, help_text="", widget=forms.TextInput(attributes))
    return forms.IntegerField(
        required=False,
        min_value=0,
        max_value=MOST_LIMIT,
        widget=forms.TextInput({**attributes, "inputmode": "numeric"}),
    )

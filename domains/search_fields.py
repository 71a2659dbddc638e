"""The fields of the search language: from a value to a condition on the guests."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

from django.db.models import CharField, F, Q
from django.db.models.functions import Cast
from django.db.models.lookups import IContains, IRegex

from domains import lookups  # noqa: F401  (registers `glob`)
from domains.models import ACTIVE_STATES, Domain, DomainState
from domains.numa.fleet import misplaced
from hosts.models import Host

MOST = 2**53
"""Larger numbers fit no column."""

MOST_STARS = 3
"""In an address, which is matched by a regular expression: more could take long."""

Condition = Callable[[str, str, bool], Q]
"""Of a field: from sign, value and whether `*` stands for anything."""


class BadValue(ValueError):
    """The value does not fit the field; the text says what would."""


def any_text(value: str, *, pattern: bool) -> Q:
    """What a word without a field means."""
    if pattern and "*" in value:
        named = _glob("name", value) | _glob("title", value)
        return named | _address(value, pattern=True) if value.count("*") <= MOST_STARS else named
    found = Q(name__icontains=value) | Q(title__icontains=value) | Q(IContains(_ADDRESSES, value.lower()))
    found |= Q(owner__icontains=value) | Q(note__icontains=value)
    digits = value.replace("-", "").lower()
    return found | _uuid_starts_with(digits) if re.fullmatch("[0-9a-f]{8,32}", digits) else found


def percent(value: str) -> float:
    """A figure: `5`, `0.5`, `5%`."""
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)%?", value, re.ASCII)
    if not match:
        raise BadValue("write a percentage, such as 5 or 0.5.")
    return float(match[1])


_ADDRESSES = Cast(F("addresses"), CharField())
"""The list as JSON text: each address stands in quotes."""


def _only_colon(sign: str) -> None:
    if sign not in ":=":
        raise BadValue("this field has no order; write it with a colon.")


def _glob(column: str, value: str) -> Q:
    return Q(**{f"{column}__glob": value})


def _text(column: str) -> Condition:
    def condition(sign: str, value: str, pattern: bool) -> Q:
        _only_colon(sign)
        return _glob(column, value) if pattern and "*" in value else Q(**{f"{column}__iexact": value})

    return condition


def _contained(column: str) -> Condition:
    def condition(sign: str, value: str, pattern: bool) -> Q:
        _only_colon(sign)
        return _glob(column, value) if pattern and "*" in value else Q(**{f"{column}__icontains": value})

    return condition


def _tag(sign: str, value: str, pattern: bool) -> Q:
    _only_colon(sign)
    with_tag = Domain.tags.through.objects.filter(_text("tag__name")(sign, value, pattern))
    return Q(pk__in=with_tag.values("domain_id"))


def _address(value: str, *, pattern: bool) -> Q:
    if pattern and "*" in value:
        if value.count("*") > MOST_STARS:
            raise BadValue(f"an address can hold {MOST_STARS} stars at most.")
        within_quotes = '[^"]*'.join(re.escape(part) for part in value.split("*"))
        return Q(IRegex(_ADDRESSES, f'"{within_quotes}"'))
    with suppress(ValueError):  # what is no address is one that no guest has
        value = str(ipaddress.ip_address(value))
    return Q(IContains(_ADDRESSES, f'"{value}"'))


def _address_field(sign: str, value: str, pattern: bool) -> Q:
    _only_colon(sign)
    return _address(value, pattern=pattern)


def _uuid_starts_with(digits: str) -> Q:
    return Q(uuid__gte=UUID(digits.ljust(32, "0")), uuid__lte=UUID(digits.ljust(32, "f")))


def _uuid(sign: str, value: str, pattern: bool) -> Q:
    _only_colon(sign)
    digits = value.removesuffix("*").replace("-", "").lower()
    if not re.fullmatch("[0-9a-f]{1,32}", digits):
        raise BadValue("write a UUID or its beginning, in hexadecimal digits.")
    return _uuid_starts_with(digits)


def _key(words: str) -> str:
    return re.sub("[ _-]", "", words.lower())


def _state(sign: str, value: str, pattern: bool) -> Q:
    _only_colon(sign)
    if _key(value) == "unknown":
        return ~Q(host__state=Host.State.UP) | Q(host__enabled=False)
    if _key(value) == "active":
        return Q(state__in=ACTIVE_STATES)
    for state in DomainState:
        if _key(value) in (_key(state.value), _key(str(state.label))):
            return Q(state=state)
    states = [*(str(state.label) for state in DomainState), "active", "unknown"]
    raise BadValue(f"there is no such state. States are: {', '.join(states)}. Put quotes around two words.")


def _agent(sign: str, value: str, pattern: bool) -> Q:
    _only_colon(sign)
    if value.lower() not in Domain.Agent.values:
        raise BadValue(f"write one of: {', '.join(Domain.Agent.values)}.")
    return Q(agent=value.lower())


def _is(sign: str, value: str, pattern: bool) -> Q:
    _only_colon(sign)
    match value.lower():
        case "template":
            return Q(is_template=True)
        case "misplaced":
            return Q(pk__in=misplaced())
    raise BadValue("write is:template or is:misplaced.")


def _autostart(sign: str, value: str, pattern: bool) -> Q:
    _only_colon(sign)
    answers = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}
    if value.lower() not in answers:
        raise BadValue("write yes or no.")
    return Q(autostart=answers[value.lower()])


_LOOKUPS = {":": "exact", "=": "exact", ">": "gt", "<": "lt", ">=": "gte", "<=": "lte"}


def _vcpus(sign: str, value: str, pattern: bool) -> Q:
    if not re.fullmatch("[0-9]{1,6}", value, re.ASCII):
        raise BadValue("write a whole number.")
    return Q(**{f"vcpus__{_LOOKUPS[sign]}": int(value)})


_UNITS_KIB = {"k": 1, "m": 1024, "g": 1024**2, "t": 1024**3}


def _memory(sign: str, value: str, pattern: bool) -> Q:
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([kmgt])(?:i?b)?", value.lower(), re.ASCII)
    if not match:
        raise BadValue("write a size with its unit, such as 512MiB or 4GiB.")
    size_kib = int(float(match[1]) * _UNITS_KIB[match[2]])
    if size_kib > MOST:
        raise BadValue("that is more memory than there is.")
    return Q(**{f"memory_kib__{_LOOKUPS[sign]}": size_kib})


FIELDS: dict[str, Condition] = {
    "name": _text("name"),
    "title": _contained("title"),
    "host": _text("host__name"),
    "site": _text("host__site__name"),
    "tag": _tag,
    "owner": _text("owner"),
    "os": _contained("os_name"),
    "address": _address_field,
    "uuid": _uuid,
    "state": _state,
    "agent": _agent,
    "autostart": _autostart,
    "is": _is,
    "vcpus": _vcpus,
    "memory": _memory,
}

FIGURES = ("cpu", "steal")
"""Fields that are compared with the live figures (`GuestSample`)."""

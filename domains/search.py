"""The search language of the guests table.

    web                     in the name, title, addresses, owner or note, or the start of the UUID (8 digits or more)
    name:web-*              the whole name; `*` stands for anything. So do host, site, tag, owner, address, uuid
    os:debian               somewhere in what the guest agent calls the system
    state:paused            a state, as a word or a key; `state:unknown`: its host does not answer
    agent:connected         autostart:yes         is:template
    is:misplaced            runs where it should not in the NUMA cells of its host, at most a minute ago
    vcpus>4  memory>=4GiB   numbers: = > < >= <=
    cpu>80  steal>5         live figures, in percent
    -tag:web                without
    site:"New York"         quotes hold spaces, and make plain text of what looks like a field

Terms that stand together must all hold. What cannot be understood is an error that says where and
what would be possible; nothing is silently left out.
"""

from __future__ import annotations

import operator
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from django.db.models import Q

from domains import search_fields
from domains.search_fields import FIELDS, FIGURES, BadValue
from vmdash.exceptions import InvalidInput

LONGEST = 500

_TERM = re.compile(
    r"""(?P<minus>-?)
        (?:(?P<field>[A-Za-z_]+)(?P<sign>:|>=|<=|=|>|<))?
        (?:"(?P<quoted>[^"]*)"|(?P<plain>[^\s"]*))
        (?=\s|$)""",
    re.VERBOSE,
)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ":": operator.eq,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


class SearchError(InvalidInput):
    """A search text that cannot be understood."""


@dataclass(frozen=True, slots=True)
class FigureTerm:
    """A comparison with a live figure: `steal>5`."""

    figure: str
    sign: str
    value: float
    negated: bool

    def holds(self, figure: float | None) -> bool:
        """An unknown figure compares with nothing; so it is what a negated term lets through."""
        return (figure is not None and _COMPARE[self.sign](figure, self.value)) != self.negated


@dataclass(frozen=True, slots=True)
class Search:
    """What a text asks for: of the database, and of the live figures."""

    condition: Q
    figures: tuple[FigureTerm, ...] = ()


def parse(text: str) -> Search:
    """Understand a search text; the empty text finds everything.

    Raises:
        SearchError: with the term that is wrong, where it stands and what is possible.
    """
    if len(text) > LONGEST:
        raise SearchError(f"The search is longer than {LONGEST} characters.")
    if any(unicodedata.category(character) in ("Cc", "Cs") and not character.isspace() for character in text):
        raise SearchError("The search holds characters that cannot be seen.", hint="Type it anew.")
    condition, figures = Q(), []
    for match in _terms(text):
        field, negated = (match["field"] or "").lower(), bool(match["minus"])
        value = match["plain"] if match["quoted"] is None else match["quoted"]
        try:
            if field in FIGURES:
                figures.append(FigureTerm(field, match["sign"], search_fields.percent(value), negated))
                continue
            found = _condition(field, match["sign"], value, pattern=match["quoted"] is None)
        except BadValue as error:
            raise SearchError(f"“{match[0]}” at character {match.start() + 1}: {error}") from None
        condition &= ~found if negated else found
    return Search(condition, tuple(figures))


def _terms(text: str) -> list[re.Match[str]]:
    terms = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        match = _TERM.match(text, position)
        if match is None or not match[0]:
            rest = text[position : position + 40]
            raise SearchError(f"The quote in “{rest}” at character {position + 1} has no partner.")
        terms.append(match)
        position = match.end()
    return terms


def _condition(field: str, sign: str, value: str, *, pattern: bool) -> Q:
    if not field:
        if not value:
            raise BadValue("a word is missing.")
        return search_fields.any_text(value, pattern=pattern)
    if field not in FIELDS:
        raise BadValue(
            f"there is no field “{field}”. Fields are: {', '.join(sorted([*FIELDS, *FIGURES]))}. "
            "To search for the text itself, put it in quotes."
        )
    if not value:
        raise BadValue(f"a value is missing after “{sign}”.")
    return FIELDS[field](sign, value, pattern)

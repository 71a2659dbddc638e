"""One thing that is wrong with a guest, in plain words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    tone: str
    """A class of static/css/components.css: bad or warn."""
    headline: str
    advice: str
    """What it means, and what to do."""

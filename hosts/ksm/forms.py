"""How hard a host shall look for equal pages."""

from __future__ import annotations

from django import forms

MOST_PAGES = 1_000_000
MOST_PAUSE_MS = 3_600_000


class KsmForm(forms.Form):
    pages_to_scan = forms.IntegerField(
        min_value=0,
        max_value=MOST_PAGES,
        label="Pages before each pause",
        help_text="The kernel begins with 100. 0: it looks at none, which is as near to off as libvirt offers.",
    )
    sleep_ms = forms.IntegerField(
        min_value=1,
        max_value=MOST_PAUSE_MS,
        label="Pause, ms",
        help_text="The kernel begins with 20. Shorter finds more, and takes more of a CPU.",
    )

"""What nobody sends by accident, and how to tell that it changed nothing.

The examples are the same in each run; a failure says the one that it takes. `seen()` is what the database holds.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TEXTS = [
    "", " ", "\t\r\n", "0", "-1", "+1", "1e309", "NaN", "٣", "²", "9" * 40, "true", "None", "null", "..",
    "../../etc/passwd", "a/b", "a\\b", "%00", "\0", "\x1b[31m", "\u202e", "é" * 70, "x" * 300, "x" * 5000, "🐧" * 40,
    "<script>alert(1)</script>", "<!ENTITY x SYSTEM 'file:///etc/passwd'>", "&x;", "]]>", '"', "'",
    "'; DROP TABLE hosts_host; --", "{{ 7*7 }}", "{% now %}", "$(id)", "`id`", "; id", "a\r\nSet-Cookie: x=y", "[]",
    "2026-02-30T25:61", "0001-01-01T00:00", "9999-12-31T23:59", "00000000-0000-0000-0000-000000000000", "http://[::1",
    "file:///etc/passwd", "http://169.254.169.254/", "*", "%", "_",
]  # fmt: skip
"""Empty, much too long, of another kind, or meant for somebody behind us: a shell, a database, a template, XML."""

texts = st.one_of(st.sampled_from(TEXTS), st.text(st.characters(codec="utf-8"), max_size=60))

_OWN_TRAIL = {"AuditEntry", "AuditHead"}
"""What is refused is written down there."""
_NOT_OURS = {"sessions", "contenttypes", "axes", "usersessions"}


def attempts(number: int) -> settings:
    """So many examples of a test that a fixture serves, and that may find an example slow."""
    return settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large,
            HealthCheck.differing_executors,
        ],
    )  # fmt: skip


def seen() -> dict[str, list[Any]]:
    """Every row of ours, by table."""
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values_list())
        for model in apps.get_models(include_auto_created=True)
        if model.__name__ not in _OWN_TRAIL and model._meta.app_label not in _NOT_OURS
    }

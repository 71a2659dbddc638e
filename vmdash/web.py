"""What the web process runs: the application, whose requests share connections to PostgreSQL.

A request is worked on in a thread of its own, so a connection that stays with its thread is used once, and opening one
takes longer than most pages. The workers' threads stay, and so do their connections: they need no pool.
"""

from django.db import connections

from vmdash.asgi import application

__all__ = ["application"]

MOST = 20
"""Connections at once: PostgreSQL lets in 100, and the workers of one machine have as many threads."""
LONGEST_WAIT_S = 5
"""For one of them, while all are in use or the database is away."""


def share_connections() -> None:
    """Before the first of them is opened."""
    for options in connections.settings.values():
        if options["ENGINE"] == "django.db.backends.postgresql":
            options["CONN_MAX_AGE"] = 0  # to the pool after each request
            options["OPTIONS"]["pool"] = {
                "min_size": 2,
                "max_size": MOST,
                "timeout": LONGEST_WAIT_S,
                # It pauses twice as long after each failure: with the usual five minutes it would still pause for
                # minutes when a database that was away is back.
                "reconnect_timeout": LONGEST_WAIT_S,
            }


share_connections()

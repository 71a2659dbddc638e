"""Saying that something happened. Cheap where no webhook wants to know."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from vmdash.webhooks.models import Event, Kind, Webhook


def wanted() -> Collection[str]:
    """The topics that some webhook is told of now. One query."""
    chosen = Webhook.objects.filter(enabled=True).values_list("topics", flat=True)
    return {topic for topics in chosen for topic in topics}


def tell(make: Callable[[], Iterable[Event]], kinds: Collection[Kind]) -> None:
    """Write down the events that `make` makes, of these kinds, if any of them is wanted.

    Call it in the transaction in which it happens: what is rolled back is not told. The scheduler's next round hands
    it on, two seconds later at most.
    """
    topics = wanted()
    if topics and any(kind.topic in topics for kind in kinds):
        Event.objects.bulk_create(event for event in make() if Kind(event.kind).topic in topics)

"""A receiver, and webhooks that lead to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_network

import pytest
from pytest_django import Settings

from tests.webhooks.hook import Hook
from vmdash.access.models import User
from vmdash.webhooks.models import Topic, Webhook
from vmdash.webhooks.services import new_secret


@pytest.fixture
def hook(settings: Settings) -> Iterator[Hook]:
    """On an address that is allowed for once."""
    settings.WEBHOOK_NETWORKS = [ip_network("127.0.0.0/8")]
    hook = Hook()
    yield hook
    hook.stop()


@pytest.fixture
def webhook_of(hook: Hook) -> Callable[..., Webhook]:
    """`webhook_of(user, Topic.ALERT)`: told of all topics unless some are named."""

    def make(owner: User, *topics: Topic, **fields: object) -> Webhook:
        fields = {"name": "chat", "url": hook.url, "secret": new_secret(), **fields}
        return Webhook.objects.create(owner=owner, topics=[*(topics or Topic)], **fields)

    return make

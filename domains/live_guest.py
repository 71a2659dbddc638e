"""From a job about a guest to the live guest: for every worker that acts on one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import redis
from django.conf import settings

from domains.actions import cannot
from domains.models import Domain
from hosts.connect import connected
from vmdash.exceptions import NotFound
from vmdash.jobs.models import Job
from vmdash.live.redis import client, refresh_key

if TYPE_CHECKING:
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.guest import Guest

log = logging.getLogger(__name__)


def target_of(job: Job) -> Domain:
    """The row of the guest that the job is about, with its host.

    Raises:
        NotFound: it is gone.
    """
    domain = Domain.objects.present().select_related("host__credential").filter(pk=job.target_id).first()
    if domain is None:
        raise NotFound(cannot(job.label, "it is not in the inventory any more."))
    return domain


@contextmanager
def live(domain: Domain) -> Iterator[tuple[HostConnection, Guest]]:
    """A connection of one's own, and the guest on it. Afterwards its collector reads it again.

    Raises:
        HostError: the host does not answer. GuestNotFound: it has no such guest any more.
    """
    try:
        with connected(domain.host) as connection:
            yield connection, connection.guest(str(domain.uuid))
    finally:
        read_again(domain)


def read_again(domain: Domain) -> None:
    """Have its collector read it again, even if the event gets lost; later the sweep would."""
    key = refresh_key(domain.host_id)
    try:
        with client().pipeline() as pipe:
            pipe.rpush(key, str(domain.uuid))
            pipe.expire(key, settings.SWEEP_INTERVAL_S)
            pipe.execute()
    except redis.RedisError as error:
        log.warning("The collector is not told to read %s again: %s", domain.name, error)

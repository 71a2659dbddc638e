"""Telling collectors and browsers that the inventory of hosts changed."""

from __future__ import annotations

import logging
from datetime import datetime

import redis
from django.conf import settings

from hosts.models import Host
from vmdash.live import groups
from vmdash.live.messages import HostChanged, Message
from vmdash.live.publish import publish_now
from vmdash.live.redis import HOSTS_CHANGED, client, refresh_key

log = logging.getLogger(__name__)


def announce_changed(host_id: int) -> None:
    """Have collectors look at the host anew, and pages show its connection as it is now. Call it after the commit."""
    host = Host.objects.filter(pk=host_id).first()
    if host:
        _tell(host_id, host_changed(host))


def tell_pages(host_id: int) -> None:
    """Have pages show the host anew, where nothing changed that collectors need to know. Call it after the commit."""
    host = Host.objects.filter(pk=host_id).first()
    if host is None:
        return
    try:
        publish_now([groups.FLEET, groups.host(host_id)], host_changed(host))
    except redis.RedisError as error:
        log.warning("Pages are not told that host %s changed: %s", host_id, error)


def read_host_again(host_id: int) -> None:
    """Have its collector read the host anew; later the sweep would."""
    key = refresh_key(host_id)
    try:
        with client().pipeline() as pipe:
            pipe.rpush(key, "*")
            pipe.expire(key, settings.SWEEP_INTERVAL_S)
            pipe.execute()
    except redis.RedisError as error:
        log.warning("The collector is not told to read host %s again: %s", host_id, error)


def announce_gone(host_id: int) -> None:
    """The same for a host that was removed."""
    _tell(host_id, {"type": "host_gone", "host": host_id})


def _tell(host_id: int, message: Message) -> None:
    try:
        client().publish(HOSTS_CHANGED, str(host_id))
        publish_now([groups.FLEET, groups.host(host_id)], message)
    except redis.RedisError as error:
        # Collectors look by themselves from time to time, pages at their next load.
        log.warning("Nobody is told that host %s changed: %s", host_id, error)


def host_changed(host: Host) -> HostChanged:
    """The host's connection as browsers get it."""
    return {
        "type": "host",
        "host": host.pk,
        "name": host.name,
        "enabled": host.enabled,
        "state": host.state,
        "state_label": host.get_state_display(),
        "reason": host.state_reason,
        "since": _ms(host.state_since),
        "last_seen_at": _ms(host.last_seen_at) if host.last_seen_at else None,
    }


def _ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)

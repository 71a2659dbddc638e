"""What can be asked for."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from vmdash.cli.client import Client, Refused
from vmdash.cli.output import Column, say, show_json, show_table

DONE, FAILED = 0, 1
ASK_EVERY_S = 1.0

_GIB = 1 << 20
HOSTS: Sequence[Column] = (
    ("NAME", lambda host: host["name"]),
    ("SITE", lambda host: host["site"]),
    ("STATE", lambda host: host["state_words"]),
    ("CPUS", lambda host: host["cpus"]),
    ("MEMORY GIB", lambda host: host["memory_kib"] / _GIB),
    ("RUNNING", lambda host: host["running"]),
    ("GUESTS", lambda host: host["guests"]),
    ("CPU %", lambda host: host["figures"]["cpu_percent"]),
    ("STEAL %", lambda host: host["figures"]["steal_percent"]),
)
GUESTS: Sequence[Column] = (
    ("NAME", lambda guest: guest["name"]),
    ("STATE", lambda guest: guest["doing"] or guest["state_words"]),
    ("HOST", lambda guest: guest["host"]),
    ("VCPUS", lambda guest: guest["vcpus"]),
    ("MEMORY GIB", lambda guest: guest["memory_kib"] / _GIB),
    ("CPU %", lambda guest: (guest["figures"] or {}).get("cpu_percent")),
    ("STEAL %", lambda guest: (guest["figures"] or {}).get("steal_percent")),
    ("ADDRESSES", lambda guest: guest["addresses"]),
    ("UUID", lambda guest: guest["uuid"]),
)
PAST_HOSTS: Sequence[Column] = (
    ("NAME", lambda host: host["name"] or "others"),
    ("STATE", lambda host: host["state"]),
    ("ANSWERED", lambda host: {True: "yes", False: "no", None: None}[host["answered"]]),
    ("ACTIVE", lambda host: host["active"]),
    ("GUESTS", lambda host: host["guests"]),
    ("CPU %", lambda host: host["cpu_percent"]),
    ("STEAL %", lambda host: host["steal_percent"]),
)
PAST_GUESTS: Sequence[Column] = (
    ("NAME", lambda guest: guest["name"]),
    ("STATE", lambda guest: guest["state_words"] + (" (last known)" if guest["answered"] is False else "")),
    ("HOST", lambda guest: guest["host"] or None),
    ("SINCE", lambda guest: guest["since"]),
    ("STEAL %", lambda guest: guest["steal_percent"]),
    ("UUID", lambda guest: guest["uuid"]),
)
JOBS: Sequence[Column] = (
    ("JOB", lambda job: job["id"]),
    ("WHAT", lambda job: job["label"]),
    ("STATE", lambda job: job["state_words"]),
    ("%", lambda job: job["percent"]),
    ("ASKED FOR BY", lambda job: job["requested_by"]),
    ("AT", lambda job: job["created_at"]),
)


def hosts(client: Client, asked: Namespace) -> int:
    return _list(asked, list(client.all("/hosts")), HOSTS)


def guests(client: Client, asked: Namespace) -> int:
    return _list(asked, list(client.all("/guests", q=" ".join(asked.search))), GUESTS)


def moment(text: str) -> int:
    """Unix seconds, as the command line has a moment. Raises ValueError."""
    return int(text) if text.isdecimal() else int(datetime.fromisoformat(text).timestamp())


def past(client: Client, asked: Namespace) -> int:
    """As it was; what is not known of that moment is told beside it."""
    found = client.get("/fleet/past", at=asked.at)
    if found["note"]:
        say(found["note"], sys.stderr)
    if found["not_recorded"]:
        say(f"Not recorded then: {', '.join(found['not_recorded'])}.", sys.stderr)
    if asked.hosts:
        return _list(asked, found["hosts"], PAST_HOSTS)
    return _list(asked, list(client.all("/fleet/past/guests", at=asked.at)), PAST_GUESTS)


def jobs(client: Client, asked: Namespace) -> int:
    return _list(asked, list(client.all("/jobs", state=asked.state)), JOBS)


def start(client: Client, asked: Namespace) -> int:
    return _act(client, asked, "start")


def stop(client: Client, asked: Namespace) -> int:
    return _act(client, asked, "force_off" if asked.force else "shutdown")


def console(client: Client, asked: Namespace) -> int:
    """Where it is for a browser."""
    found = client.get(f"/guests/{_guest(client, asked.guest)['uuid']}/console")
    place = next(one for one in found if one["kind"] == ("serial" if asked.serial else "screen"))
    if asked.json:
        show_json(place)
    elif place["why_not"]:
        raise Refused(place["why_not"])
    else:
        say(place["url"])
    return DONE


def migrate(client: Client, asked: Namespace) -> int:
    guest = _guest(client, asked.guest)
    return _asked_for(client, asked, [client.post(f"/guests/{guest['uuid']}/migrate", {"target": asked.host})])


def follow(client: Client, asked: Namespace) -> int:
    return _follow(client, asked, asked.job)


def _list(asked: Namespace, rows: list[Any], columns: Sequence[Column]) -> int:
    if asked.json:
        show_json(rows)
    else:
        show_table(rows, columns)
    return DONE


def _act(client: Client, asked: Namespace, action: str) -> int:
    """To each of the guests. All of them are found before anything is done."""
    found = [_guest(client, name) for name in asked.guests]
    made = []
    for guest in found:
        wish = {"action": action}
        if action == "force_off":
            wish["confirm"] = asked.confirm or _typed(f"{guest['name']} loses what it has not written. Type its name: ")
        made.append(client.post(f"/guests/{guest['uuid']}/actions", wish))
    return _asked_for(client, asked, made)


def _typed(question: str) -> str:
    if not sys.stdin.isatty():
        raise Refused("Give the guest's name with --confirm.")
    return input(question)


def _asked_for(client: Client, asked: Namespace, made: list[Any]) -> int:
    if asked.wait:
        return max(_follow(client, asked, job["id"]) for job in made)
    if asked.json:
        show_json(made)
    else:
        for job in made:
            say(f"{job['id']}  {job['label']}")
    return DONE


def _follow(client: Client, asked: Namespace, job_id: str) -> int:
    """Until it has ended: its log and how far it is; as JSON the job as it ended."""
    path, last, told = f"/jobs/{quote(job_id, safe='')}", 0, ""
    while True:
        job = client.get(path)
        for line in client.get(f"{path}/log", after=last):
            last = line["number"]
            if not asked.json:
                say(line["text"])
        percent = "" if job["percent"] is None else f" {job['percent']} %"
        now = f"{job['label']}: {job['state_words']}{percent}"
        if now != told and not asked.json:
            say(now)
        told = now
        if not job["is_active"]:
            break
        time.sleep(ASK_EVERY_S)
    if asked.json:
        show_json(job)
    elif job["error"]:
        say(job["error"], sys.stderr)
    return DONE if job["state"] == "succeeded" else FAILED


def _guest(client: Client, name: str) -> Any:
    """By its UUID or its whole name. Raises Refused."""
    try:
        return client.get(f"/guests/{UUID(name)}")
    except ValueError:
        pass
    if '"' in name:
        raise Refused(f"There is no guest {name}.")
    found = client.get("/guests", q=f'name:"{name}"', limit=10)["items"]
    if not found:
        raise Refused(f"There is no guest {name}.")
    if len(found) > 1:
        uuids = ", ".join(f"{one['uuid']} on {one['host']}" for one in found)
        raise Refused(f"Several guests are called {name}. Name one by its UUID: {uuids}.")
    return found[0]

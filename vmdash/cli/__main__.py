"""`python -m vmdash.cli`, or `bin/vmdash`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

import httpx

from vmdash.cli import commands
from vmdash.cli.client import Client, Refused
from vmdash.cli.env import NoAccess, access
from vmdash.cli.output import say

REFUSED = 2


def parser() -> ArgumentParser:
    every = ArgumentParser(add_help=False)
    every.add_argument("--json", action="store_true", help="JSON instead of a table")
    waits = ArgumentParser(add_help=False)
    waits.add_argument("--wait", action="store_true", help="until it is done; 1 when it fails")
    found = ArgumentParser("vmdash", description="What vmdash has and does, from a shell. docs/api.md tells more.")
    verbs = found.add_subparsers(required=True, metavar="COMMAND")

    verb = verbs.add_parser("hosts", parents=[every], help="list hosts")
    verb.set_defaults(run=commands.hosts)

    verb = verbs.add_parser("guests", parents=[every], help="list guests")
    verb.add_argument("search", nargs="*", help="as on the page: host:kvm1 state:running")
    verb.set_defaults(run=commands.guests)

    verb = verbs.add_parser("past", parents=[every], help="list guests as they were at a moment")
    verb.add_argument("at", type=commands.moment, metavar="MOMENT", help="2026-11-27T14:30, here; or Unix seconds")
    verb.add_argument("--hosts", action="store_true", help="the hosts instead")
    verb.set_defaults(run=commands.past)

    verb = verbs.add_parser("start", parents=[every, waits], help="start guests")
    verb.add_argument("guests", nargs="+", metavar="GUEST", help="a name or a UUID")
    verb.set_defaults(run=commands.start)

    verb = verbs.add_parser("stop", parents=[every, waits], help="shut guests down")
    verb.add_argument("guests", nargs="+", metavar="GUEST")
    verb.add_argument("--force", action="store_true", help="cut the power; asks for the guest's name")
    verb.add_argument("--confirm", default="", metavar="NAME", help="the guest's name, for --force")
    verb.set_defaults(run=commands.stop)

    verb = verbs.add_parser("console", parents=[every], help="where a guest's console is, for a browser")
    verb.add_argument("guest", metavar="GUEST")
    verb.add_argument("--serial", action="store_true", help="the serial console instead of the screen")
    verb.set_defaults(run=commands.console)

    verb = verbs.add_parser("migrate", parents=[every, waits], help="move a guest to another host")
    verb.add_argument("guest", metavar="GUEST")
    verb.add_argument("host", metavar="HOST")
    verb.set_defaults(run=commands.migrate)

    verb = verbs.add_parser("jobs", parents=[every], help="list jobs")
    verb.add_argument("--state", default="unfinished", help="a state, `unfinished` (the default), or empty for all")
    verb.set_defaults(run=commands.jobs)

    verb = verbs.add_parser("follow", parents=[every], help="follow a job until it has ended")
    verb.add_argument("job", metavar="JOB")
    verb.set_defaults(run=commands.follow)
    return found


def main(arguments: Sequence[str] | None = None, transport: httpx.BaseTransport | None = None) -> int:
    """What the command ends with: 0, 1 when a job failed, 2 when nothing was done. `transport`: not the network."""
    asked = parser().parse_args(arguments)
    try:
        code: int = asked.run(Client(access(), transport), asked)
    except (NoAccess, Refused) as error:
        say(str(error), sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())

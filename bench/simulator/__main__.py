"""See the docstring of the package."""

from __future__ import annotations

import argparse
import resource
import signal

import uvloop

from bench.simulator.server import Server


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.simulator", description="Simulated libvirt hosts.")
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--guests", type=int, default=50, help="on each host")
    parser.add_argument("--port", type=int, default=16509)
    parser.add_argument("--changes", type=float, default=5, help="guests that change their state, per second")
    parser.add_argument("--hung", type=float, default=0, help="share of the hosts that SIGUSR1 has hang")
    asked = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server = Server(asked.hosts, asked.guests, port=asked.port, changes_per_s=asked.changes, hung_share=asked.hung)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have what they start in the background ignore it
    uvloop.run(server.run())


if __name__ == "__main__":
    main()

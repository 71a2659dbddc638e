"""Faults to practise with: a hung libvirtd, a killed one, an address that drops connection attempts."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from vmdash.lab.qemu_host import QemuHost

_PENDING = 4
"""More connections than a queue of length 0 takes, which is one or two."""


@contextmanager
def hung_libvirtd(host: QemuHost) -> Iterator[None]:
    """Inside the block the host's libvirtd accepts connections and answers nothing (SIGSTOP)."""
    host.signal_libvirtd("STOP")
    try:
        yield
    finally:
        host.signal_libvirtd("CONT")


@contextmanager
def killed_libvirtd(host: QemuHost) -> Iterator[None]:
    """Inside the block the host's libvirtd is dead (SIGKILL) while its guests run on; afterwards it is back."""
    host.signal_libvirtd("KILL")
    try:
        yield
    finally:
        host.start_libvirtd()


@contextmanager
def black_hole(address: str, port: int = 0) -> Iterator[int]:
    """Inside the block, attempts to connect to `address` are dropped, as by a firewall; yields the port.

    A listening socket whose queue is full does that: Linux then ignores further SYN packets.
    """
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(_PENDING):
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]

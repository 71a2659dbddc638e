"""Servers that are not what one hoped for, on loopback, each for one test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Talk = Callable[[socket.socket], None]


@contextmanager
def server(talk: Talk) -> Iterator[int]:
    """Accepts connections and lets `talk` have each in a thread of its own; the port is the value."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener, talk), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@contextmanager
def silent() -> Iterator[int]:
    """As a hung daemon: the kernel accepts, nobody reads."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield listener.getsockname()[1]


def http(connection: socket.socket) -> None:
    """A web server: waits for a line that ends, and answers what came when the client goes silent for good."""
    received = b""
    while b"\n" not in received and (piece := connection.recv(4096)):
        received += piece
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


def ssh_banner(connection: socket.socket) -> None:
    """An SSH server, as far as its first line."""
    connection.sendall(b"SSH-2.0-test\r\n")
    connection.recv(4096)


def ssh_turned_away(connection: socket.socket) -> None:
    """An SSH server that has no room: it ends the connection after its first line, whoever asks."""
    connection.sendall(b"SSH-2.0-test\r\n")


def ssh_full(connection: socket.socket) -> None:
    """What OpenSSH says instead of its first line when MaxStartups is reached."""
    connection.sendall(b"Exceeded MaxStartups\r\n")


def _accept(listener: socket.socket, talk: Talk) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection, talk), daemon=True).start()


def _serve(connection: socket.socket, talk: Talk) -> None:
    with connection:
        try:
            talk(connection)
        except OSError:
            return

"""A history store that does as it is told: it takes what comes, refuses it, or never answers."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Mood = Literal["takes", "fails", "hangs", "refuses"]


class FickleStore:
    """`rows` are what it took, in the order of arrival."""

    def __init__(self, mood: Mood = "takes") -> None:
        self.mood = mood
        self.rows: list[str] = []
        self.requests = 0
        self._end = threading.Event()
        store = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                store.requests += 1
                if store.mood == "hangs":
                    store._end.wait()
                    return
                if store.mood == "takes":
                    text = gzip.decompress(data) if self.headers["Content-Encoding"] == "gzip" else data
                    store.rows += text.decode().splitlines()
                self.send_response({"takes": 204, "fails": 503, "refuses": 400}[store.mood])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self._end.set()
        self._server.shutdown()
        self._server.server_close()

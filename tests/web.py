"""A real web process for tests, on the tests' database and Redis, and a browser that is signed in to it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from asgiref.sync import sync_to_async
from django.test import Client
from playwright.async_api import Page, async_playwright

from tests.services import Server, free_port
from vmdash.access.models import User

ROOT = Path(__file__).parent.parent


class Web(Server):
    """Serves pages and WebSockets at `url`. `pause()` ends the process, `resume()` starts it at the same port again."""

    def __init__(self) -> None:
        super().__init__("web")
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.resume()

    def resume(self) -> None:
        # Debugging: files for the browser come from where they are written.
        self._start(
            "env", "VMDASH_DEBUG=yes", sys.executable, "-m", "uvicorn", "vmdash.asgi:application", "--app-dir", ROOT,
            "--host", "127.0.0.1", "--port", str(self._port), "--lifespan", "off",
        )  # fmt: skip
        self._wait()

    def pause(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/sign-in/", timeout=5).is_success
        except httpx.TransportError:
            return False


@asynccontextmanager
async def browser_page(web: Web, user: User, **context_options: Any) -> AsyncIterator[Page]:
    """A page of Debian's Chromium, signed in as `user`. An error in a script of ours fails the test."""
    client = Client()
    await sync_to_async(client.force_login)(user)
    errors: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = await browser.new_context(
            base_url=web.url, viewport={"width": 1280, "height": 800}, **context_options
        )
        await context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": web.url}])
        page = await context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        await browser.close()
    assert errors == []

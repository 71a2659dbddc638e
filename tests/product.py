"""The whole of vmdash beside the tests: `manage.py run` with its own data, ports and accounts."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.polling import poll
from tests.services import free_port
from vmdash.lab.layout import REPOSITORY, Lab

_FURNISH = "from vmdash.lab.layout import Lab; from vmdash.main import demo; demo.furnish(Lab.from_environment())"


class Product:
    """Runs on `lab`, which is up already, until `stop()`. `accounts` are passwords by user name, one for each role.

    `settings` are more environment variables.
    """

    def __init__(self, lab: Lab, *arguments: str, settings: Mapping[str, str] | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="vmdash-product-"))
        web, self.console_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{web}"
        strangers = ("VMDASH_", "REDIS_URL", "DATABASE_URL", "DJANGO_SETTINGS_MODULE")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(strangers)} | {
            "VMDASH_DATA_DIR": str(self.directory / "data"),
            "VMDASH_LAB_DIR": str(lab.directory),
            "VMDASH_LAB_NET": str(lab.net),
            "VMDASH_WEB_LISTEN": f"127.0.0.1:{web}",
            "VMDASH_CONSOLE_LISTEN": f"127.0.0.1:{self.console_port}",
            "VMDASH_TRANSFER_LISTEN": f"127.0.0.1:{free_port()}",
            "VMDASH_REDIS_PORT": str(free_port()),
            "VMDASH_TSDB_PORT": str(free_port()),
            "VMDASH_ALERT_PORT": str(free_port()),
            **(settings or {}),
        }
        self._arguments = arguments
        self.log = self.directory / "log"

    def start(self, *, deadline_s: float = 120) -> None:
        """Start it and wait until it says that it is ready. Raises RuntimeError with what it said instead."""
        with self.log.open("w") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *self._manage(), "run", *self._arguments],
                cwd=REPOSITORY,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        poll(lambda: self._is_ready() or self._process.poll() is not None, deadline_s, "vmdash to be ready")
        if not self._is_ready():
            raise RuntimeError(f"vmdash did not start:\n{self.log.read_text()}")

    def furnish(self) -> None:
        """Add the accounts and the practice fleet's hosts."""
        self.manage("shell", "-c", _FURNISH)

    def manage(self, *arguments: str) -> None:
        """Run a command of `manage.py` beside it. Raises CalledProcessError when it fails."""
        subprocess.run(
            [*self._manage(), *arguments], cwd=REPOSITORY, env=self.environment, check=True, stdout=subprocess.DEVNULL
        )

    def share_settings(self) -> None:
        """Set Django up in this process, with its settings: what it stores can then be read here."""
        os.environ |= self.environment
        os.environ["DJANGO_SETTINGS_MODULE"] = "vmdash.settings"
        import django

        django.setup()

    @property
    def accounts(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.directory / "data/secrets/demo_accounts.json").read_text())
        return found

    def sign_in(self, name: str) -> httpx.Client:
        """A client with the session of one of the accounts."""
        client = httpx.Client(base_url=self.url, follow_redirects=True, timeout=10)
        page = client.get("/sign-in/")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        if token is None:
            raise RuntimeError(f"The sign-in page has no form: {page.text[:500]}")
        answer = client.post(
            "/sign-in/",
            data={"csrfmiddlewaretoken": token[1], "username": name, "password": self.accounts[name]},
            headers={"Referer": f"{self.url}/sign-in/"},
        )
        if "sessionid" not in client.cookies:
            raise RuntimeError(f"{name} could not sign in: {answer.status_code}")
        return client

    def interrupt(self) -> int:
        """Press Ctrl-C, and return the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(timeout=60)

    def stop(self) -> None:
        if self._process.poll() is None:
            self.interrupt()
        shutil.rmtree(self.directory)

    def _is_ready(self) -> bool:
        return "vmdash is ready" in self.log.read_text()

    @staticmethod
    def _manage() -> list[str]:
        return [sys.executable, str(REPOSITORY / "manage.py")]


@contextmanager
def running_product(lab: Lab, settings: Mapping[str, str] | None = None) -> Iterator[Product]:
    """The product with accounts and hosts, inside the block. What it said last is shown when the block fails."""
    product = Product(lab, settings=settings)
    try:
        product.start()
        product.furnish()
        yield product
    except BaseException:
        sys.stderr.write(product.log.read_text()[-10_000:])
        raise
    finally:
        product.stop()

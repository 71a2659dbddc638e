"""`manage.py run --demo`: what a newcomer sees, and that nothing stays behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.lab_fixtures import spare_lab
from tests.polling import poll
from tests.product import Product
from vmdash.lab.layout import Lab

pytestmark = pytest.mark.lab


@pytest.fixture
def fleetless() -> Iterator[Lab]:
    with spare_lab() as lab:
        yield lab


def traces(*directories: Path) -> list[str]:
    """The processes whose command, environment or mounts name one of the directories."""
    wanted = [str(directory).encode() for directory in directories]
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            known = b"\0".join((process / name).read_bytes() for name in ("cmdline", "environ", "mounts"))
        except OSError:
            continue  # it ended meanwhile, or is one of the kernel's
        if any(directory in known for directory in wanted):
            found.append(known.replace(b"\0", b" ")[:200].decode(errors="replace"))
    return found


def test_the_demo_shows_its_guests_and_leaves_nothing_behind(fleetless: Lab) -> None:
    product = Product(fleetless, "--demo")
    try:
        product.start(deadline_s=240)
        said = product.log.read_text()
        assert product.url in said
        for name, password in product.accounts.items():
            assert f"{name:<10}{password}" in said
        client = product.sign_in("viewer")
        poll(lambda: "web1" in client.get("/domains/").text, 30, "the guests to be listed")
        assert product.interrupt() == 0
        assert "Traceback" not in product.log.read_text()
        assert traces(product.directory, fleetless.directory) == []
        assert not Path(f"/sys/class/net/{fleetless.bridge}").exists()
        with pytest.raises(httpx.TransportError):
            httpx.get(product.url)
    finally:
        product.stop()

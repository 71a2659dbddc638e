"""The Grafana board fits what is recorded."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.past import guest_past, host_past, write
from vmdash.metrics.lines import taken_lines
from vmdash.metrics.sums import cell_lines, pool_lines
from vmdash.virt.counters import Counters
from vmdash.virt.node import MemoryUse
from vmdash.virt.pool import PoolFacts, PoolState
from vmdash.virt.stats import GuestStats

BOARD: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent.parent / "deploy" / "grafana" / "vmdash.json").read_text()
)
EXPRESSIONS = [(panel["title"], target["expr"]) for panel in BOARD["panels"] for target in panel.get("targets", [])]


@pytest.fixture(scope="module")
def recorded(victoria_metrics: str) -> str:
    now = int(time.time())
    write(victoria_metrics, _everything(now))
    return victoria_metrics


def _everything(now: int) -> Iterator[str]:
    yield from guest_past("grafana1", "00000000-0000-0000-0000-00000000000f", "web1", now - 600, now)
    yield from host_past("grafana1", now - 600, now)
    pool = PoolFacts("p-1", "default", "dir", PoolState.RUNNING, True, True, 100, 40, 60, "/images")
    guest = GuestStats("00000000-0000-0000-0000-00000000000f", "web1", Counters.of({}))
    for at in range(now - 600, now, 10):
        yield cell_lines("grafana1", at * 1000, [MemoryUse(0, 8, 2, None, None)])
        yield pool_lines("grafana1", at * 1000, pool, 250)
        yield taken_lines("grafana1", at * 1000, guest, {"": float(at - now + 600)})


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_each_panel_shows_something(recorded: str, title: str, expression: str) -> None:
    asked = expression.replace("$__rate_interval", "1m").replace("$host", "grafana1").replace("$guest", ".*")
    assert "$" not in asked
    answer = httpx.get(f"{recorded}/api/v1/query", params={"query": asked, "time": str(int(time.time()) - 15)}).json()
    assert answer["status"] == "success", answer
    assert answer["data"]["result"], f"{title} is empty: {asked}"


def test_the_variables_name_what_is_recorded(recorded: str) -> None:
    for variable in BOARD["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", variable["definition"])
            assert found
            metric, label = found.groups()
            query = f'count by ({label}) ({metric}{{host="grafana1"}})'
            answer = httpx.get(f"{recorded}/api/v1/query", params={"query": query}).json()
            assert answer["data"]["result"][0]["metric"].get(label)


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells

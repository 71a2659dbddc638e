"""The charts of a guest, against a real history store."""

from __future__ import annotations

import time

import httpx
import pytest

from domains.charts import last_hour
from tests.factories import DomainFactory
from tests.polling import poll
from vmdash.metrics.query import Series

pytestmark = pytest.mark.django_db


def test_counters_become_shares_and_rates(victoria_metrics: str) -> None:
    guest = DomainFactory.create(vcpus=2)
    now = int(time.time() * 1000)
    lines = []
    for step in range(30):
        at, seconds = now - (30 - step) * 10_000, step * 10
        labels = f'uuid="{guest.pk}"'
        lines += [
            f"libvirt_domain_info_cpu_time_seconds_total{{{labels}}} {seconds} {at}",
            f'libvirt_domain_vcpu_delay_seconds_total{{{labels},vcpu="0"}} {seconds * 0.4} {at}',
            f'libvirt_domain_vcpu_delay_seconds_total{{{labels},vcpu="1"}} {seconds * 0.2} {at}',
            f'libvirt_domain_block_stats_read_bytes_total{{{labels},target_device="vda"}} {seconds * 1000} {at}',
            f'libvirt_domain_block_stats_read_bytes_total{{{labels},target_device="vdb"}} {seconds * 500} {at}',
        ]
    httpx.post(f"{victoria_metrics}/api/v1/import/prometheus", content="\n".join(lines)).raise_for_status()

    def series() -> dict[str, Series]:
        found = last_hour(guest)
        return found if any(found["cpu"]) else {}

    found = poll(series, what="the counters to be readable")
    middle = -12  # three minutes ago, well within what was written
    assert found["cpu"][middle] == pytest.approx(50, rel=0.02)
    assert found["steal"][middle] == pytest.approx(30, rel=0.02)
    assert found["rd"][middle] == pytest.approx(1500, rel=0.02)
    assert found["wr"][middle] is None
    assert found["cpu"][0] is None
    assert {len(values) for values in found.values()} == {241}

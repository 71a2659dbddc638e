"""The charts of a guest, against a real history store."""

from __future__ import annotations

import csv
import io
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.test import Client
from django.utils import timezone

from bench.past import guest_past, write
from domains.models import Domain, GuestEvent
from tests.factories import DomainFactory, JobFactory
from tests.polling import poll
from vmdash.access.models import User
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

XML = """<domain type='kvm'><devices><disk device='disk'><target dev='vda'/>
<iotune><total_bytes_sec>10485760</total_bytes_sec><read_iops_sec>500</read_iops_sec></iotune></disk></devices></domain>"""


def charts(client: Client, guest: Domain, query: str = "") -> dict[str, Any]:
    answer = client.get(f"/domains/{guest.pk}/charts.json?{query}")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def line(body: dict[str, Any], chart: str, label: str) -> list[float | None]:
    [values] = [one["values"] for one in body["charts"][chart]["lines"] if one["label"] == label]
    return values  # type: ignore[no-any-return]


def with_figures(client: Client, guest: Domain, query: str, chart: str, label: str) -> dict[str, Any]:
    """The answer, once the store lets what was written be read."""

    def read() -> dict[str, Any]:
        body = charts(client, guest, query)
        return body if body["charts"][chart]["lines"] and any(line(body, chart, label)) else {}

    return poll(read, 20, "the counters to be readable")


def test_counters_become_shares_and_rates(victoria_metrics: str, viewer_client: Client) -> None:
    guest = DomainFactory.create(vcpus=2, max_vcpus=2)
    now = int(time.time() * 1000)
    lines = []
    for step in range(30):
        at, seconds = now - (30 - step) * 10_000, step * 10
        only = f'uuid="{guest.pk}"'
        lines += [
            f"libvirt_domain_info_virtual_cpus{{{only}}} 2 {at}",
            f"libvirt_domain_info_cpu_time_seconds_total{{{only}}} {seconds} {at}",
            f'libvirt_domain_vcpu_time_seconds_total{{{only},vcpu="0"}} {seconds * 0.5} {at}',
            f'libvirt_domain_vcpu_delay_seconds_total{{{only},vcpu="0"}} {seconds * 0.4} {at}',
            f'libvirt_domain_vcpu_delay_seconds_total{{{only},vcpu="1"}} {seconds * 0.2} {at}',
            f'libvirt_domain_block_stats_read_bytes_total{{{only},target_device="vda"}} {seconds * 1000} {at}',
            f'libvirt_domain_block_stats_read_bytes_total{{{only},target_device="vdb"}} {seconds * 500} {at}',
            f'libvirt_domain_block_stats_read_requests_total{{{only},target_device="vda"}} {seconds * 10} {at}',
            f'libvirt_domain_block_stats_read_time_seconds_total{{{only},target_device="vda"}} {seconds * 0.02} {at}',
        ]
    httpx.post(f"{victoria_metrics}/api/v1/import/prometheus", content="\n".join(lines)).raise_for_status()

    body = with_figures(viewer_client, guest, "", "cpu", "CPU")

    middle = -12  # three minutes ago, well within what was written
    assert line(body, "cpu", "CPU")[middle] == pytest.approx(50, rel=0.02)
    assert line(body, "cpu", "steal")[middle] == pytest.approx(30, rel=0.02)
    assert line(body, "vcpus", "vCPU 0")[middle] == pytest.approx(50, rel=0.02)
    assert line(body, "vcpus", "steal of 1")[middle] == pytest.approx(20, rel=0.02)
    assert line(body, "disk", "read")[middle] == pytest.approx(1500, rel=0.02)
    assert line(body, "disk", "written")[middle] is None
    assert line(body, "latency", "vda read")[middle] == pytest.approx(0.002, rel=0.02)
    assert line(body, "cpu", "CPU")[0] is None
    assert {len(one["values"]) for chart in body["charts"].values() for one in chart["lines"]} == {241}
    assert body["live"]


def test_of_many_vcpus_the_busiest_and_the_worst_are_drawn(victoria_metrics: str, viewer_client: Client) -> None:
    """Lines for more than 16 could not be told apart. The busiest need not be the one that waits the longest."""
    guest = DomainFactory.create(vcpus=17, max_vcpus=17)
    now = int(time.time() * 1000)
    lines = [
        f'libvirt_domain_vcpu_{figure}_seconds_total{{uuid="{guest.pk}",vcpu="{vcpu}"}} '
        f"{share * step * 10} {now - (30 - step) * 10_000}"
        for step in range(30)
        for vcpu in range(17)
        for figure, share in (("time", 0.9 if vcpu == 3 else 0.2), ("delay", 0.4 if vcpu == 16 else 0.01))
    ]
    httpx.post(f"{victoria_metrics}/api/v1/import/prometheus", content="\n".join(lines)).raise_for_status()

    body = with_figures(viewer_client, guest, "", "vcpus", "CPU of the busiest")

    assert len(body["charts"]["vcpus"]["lines"]) == 2
    assert line(body, "vcpus", "CPU of the busiest")[-12] == pytest.approx(90, rel=0.02)
    assert line(body, "vcpus", "steal of the worst")[-12] == pytest.approx(40, rel=0.02)
    assert "Busiest and worst vCPU" in viewer_client.get(f"/domains/{guest.pk}/").content.decode()


@pytest.mark.parametrize(("span", "hours"), [("day", 24), ("week", 168), ("month", 720)])
def test_longer_ranges_show_the_same_and_gaps_stay_gaps(
    victoria_metrics: str, viewer_client: Client, span: str, hours: int
) -> None:
    guest = DomainFactory.create(vcpus=2, max_vcpus=2)
    now = int(time.time())
    begin, gap_from, gap_to = (now - int(part * hours * 3600) for part in (0.5, 0.3, 0.2))
    for part in ((begin, gap_from), (gap_to, now)):
        write(victoria_metrics, guest_past("kvm1", str(guest.pk), "web1", *part, interval_s=60 if hours < 100 else 600))

    body = with_figures(viewer_client, guest, f"range={span}", "memory", "used")

    at, used = body["at"], line(body, "memory", "used")
    known = {moment: value is not None for moment, value in zip(at, used, strict=True)}
    slack = 2 * body["step"] + 1800
    assert not any(there for moment, there in known.items() if moment < begin - slack)
    assert not any(there for moment, there in known.items() if gap_from + slack < moment < gap_to - slack)
    assert all(there for moment, there in known.items() if begin + slack < moment < gap_from - slack)
    assert 240 <= len(at) <= 371
    assert at[-1] - at[0] == pytest.approx(hours * 3600, abs=body["step"])
    shares = [value for value in line(body, "cpu", "CPU") if value is not None]
    assert shares and all(0 < share < 105 for share in shares)


def test_a_part_is_read_more_finely(victoria_metrics: str, viewer_client: Client) -> None:
    guest = DomainFactory.create()
    body = charts(viewer_client, guest, "from=1700000000&to=1700003600")
    assert body["step"] == 15
    assert not body["live"]
    assert 1700000000 - 15 <= body["at"][0] <= body["at"][-1] <= 1700003600


def test_an_hour_goes_on_with_what_came_since(victoria_metrics: str, viewer_client: Client) -> None:
    guest = DomainFactory.create()
    whole = charts(viewer_client, guest)["at"]
    assert charts(viewer_client, guest, f"after={whole[-4]}")["at"][:3] == whole[-3:]
    assert len(charts(viewer_client, guest, "after=99999999999")["at"]) == 1


def test_a_guest_of_which_nothing_is_known_has_empty_charts(victoria_metrics: str, viewer_client: Client) -> None:
    body = charts(viewer_client, DomainFactory.create(), "range=year")
    assert len(body["charts"]) == 8
    assert not any(value for chart in body["charts"].values() for one in chart["lines"] for value in one["values"])


def test_limits_of_disks_are_drawn(victoria_metrics: str, viewer_client: Client) -> None:
    body = charts(viewer_client, DomainFactory.create(xml=XML))
    assert body["charts"]["disk"]["limits"] == [["limit of vda", 10485760]]
    assert body["charts"]["operations"]["limits"] == [["limit of reads of vda", 500]]
    assert [one["label"] for one in body["charts"]["disk"]["lines"]] == ["read", "written"]


def test_a_limit_of_one_disk_among_several_is_drawn_beside_that_disk(
    victoria_metrics: str, viewer_client: Client
) -> None:
    """Of all together it would seem to be broken, or far away. What counts reads and writes has a line of both."""
    disks = [
        {"target": "vda", "device": "disk"},
        {"target": "vdb", "device": "disk"},
        {"target": "sda", "device": "cdrom"},
    ]
    guest = DomainFactory.create(xml=XML, disks=disks)
    now = int(time.time() * 1000)
    lines = [
        f'libvirt_domain_block_stats_{way}_{figure}_total{{uuid="{guest.pk}",target_device="{disk}"}} '
        f"{each * step * 10} {now - (30 - step) * 10_000}"
        for step in range(30)
        for disk, factor in (("vda", 2), ("vdb", 1), ("sda", 0))
        for way, figure, each in (
            ("read", "bytes", 1000 * factor),
            ("write", "bytes", 300 * factor),
            ("read", "requests", 10 * factor),
            ("write", "requests", 3 * factor),
        )
    ]
    httpx.post(f"{victoria_metrics}/api/v1/import/prometheus", content="\n".join(lines)).raise_for_status()

    charts = with_figures(viewer_client, guest, "", "disk", "vda in all")["charts"]

    def shown(chart: str) -> dict[str, Any]:
        return {one["label"]: one["values"][-12] for one in charts[chart]["lines"]}

    def near(values: dict[str, float]) -> dict[str, Any]:
        return {label: pytest.approx(value, rel=0.02) for label, value in values.items()}

    assert shown("disk") == near(
        {"vda read": 2000, "vdb read": 1000, "vda written": 600, "vdb written": 300, "vda in all": 2600}
    )
    assert shown("operations") == {
        **near({"vda reads": 20, "vdb reads": 10, "vda writes": 6, "vdb writes": 3}),
        "flushes": None,
    }
    assert charts["disk"]["limits"] == [["limit of vda", 10485760]]


SHARED = """<domain type='kvm'><devices>
<disk device='disk'><target dev='vda'/><iotune><total_bytes_sec>9000</total_bytes_sec><read_iops_sec>50</read_iops_sec>
<group_name>fast</group_name></iotune></disk>
<disk device='disk'><target dev='vdb'/><iotune><total_bytes_sec>9000</total_bytes_sec><read_iops_sec>50</read_iops_sec>
<group_name>fast</group_name></iotune></disk></devices></domain>"""


def test_a_limit_that_disks_share_is_drawn_beside_what_they_do_together(
    victoria_metrics: str, viewer_client: Client
) -> None:
    """Of all disks together where they are all that there are."""
    disks = [{"target": target, "device": "disk"} for target in ("vda", "vdb", "vdc")]
    guest = DomainFactory.create(xml=SHARED, disks=disks)
    now = int(time.time() * 1000)
    lines = [
        f'libvirt_domain_block_stats_{way}_{figure}_total{{uuid="{guest.pk}",target_device="{disk}"}} '
        f"{each * step * 10} {now - (30 - step) * 10_000}"
        for step in range(30)
        for disk, each in (("vda", 1000), ("vdb", 200), ("vdc", 30))
        for way in ("read", "write")
        for figure in ("bytes", "requests")
    ]
    httpx.post(f"{victoria_metrics}/api/v1/import/prometheus", content="\n".join(lines)).raise_for_status()

    shown = with_figures(viewer_client, guest, "", "disk", "group fast in all")

    assert line(shown, "disk", "group fast in all")[-12] == pytest.approx(2 * 1200, rel=0.02)
    assert line(shown, "disk", "vdc read")[-12] == pytest.approx(30, rel=0.02)
    assert line(shown, "operations", "group fast reads")[-12] == pytest.approx(1200, rel=0.02)
    assert not [one for one in shown["charts"]["operations"]["lines"] if one["label"].endswith("in all")]
    assert shown["charts"]["disk"]["limits"] == [["limit of group fast (vda, vdb)", 9000]]
    assert shown["charts"]["operations"]["limits"] == [["limit of reads of group fast (vda, vdb)", 50]]
    Domain.objects.filter(pk=guest.pk).update(disks=disks[:2])
    body = charts(viewer_client, guest)
    assert [one["label"] for one in body["charts"]["disk"]["lines"]] == ["read", "written"]


def test_a_disk_that_is_a_unit_of_the_host_s_storage_counts_as_another(
    victoria_metrics: str, viewer_client: Client
) -> None:
    for device, labels in (("lun", []), ("cdrom", ["read", "written"]), ("floppy", ["read", "written"])):
        disks = [{"target": "vda", "device": "disk"}, {"target": "sda", "device": device}]
        body = charts(viewer_client, DomainFactory.create(xml=XML, disks=disks))
        assert [one["label"] for one in body["charts"]["disk"]["lines"]] == labels, device


@pytest.mark.parametrize(
    "query",
    [
        "range=decade", "range=", "from=1", "from=x&to=y", "from=1700000000&to=1600000000", "from=-5&to=1700000000",
        "from=1700000000&to=1700000001", "from=0&to=1700000000", "from=1700000000&to=99999999999999999999",
        "from=1e9&to=2e9", "after=soon", "from=%D9%A1%D9%A2&to=1700000000",
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(viewer_client: Client, query: str) -> None:
    guest = DomainFactory.create()
    assert viewer_client.get(f"/domains/{guest.pk}/charts.json?{query}").status_code == 400
    if "after" not in query:
        assert viewer_client.get(f"/domains/{guest.pk}/?{query}").status_code == 400


def test_a_name_cannot_reach_into_the_query() -> None:
    from vmdash.metrics.query import labels

    assert labels(host='a"} or {b="\\') == '{host="a\\"} or {b=\\"\\\\"}'
    assert labels(host=["kvm.1", "a|b"]) == '{host=~"kvm\\\\.1|a\\\\|b"}'


def test_the_file_has_one_row_for_each_moment(victoria_metrics: str, viewer_client: Client) -> None:
    guest = DomainFactory.create(name="web 1", max_vcpus=2)
    now = int(time.time())
    write(victoria_metrics, guest_past("kvm1", str(guest.pk), "web1", now - 1800, now))
    with_figures(viewer_client, guest, "", "cpu", "CPU")

    answer = viewer_client.get(f"/domains/{guest.pk}/charts.csv?range=hour")

    assert answer["Content-Type"].startswith("text/csv")
    assert answer["Content-Disposition"] == 'attachment; filename="web_1-hour.csv"'
    rows = list(csv.reader(io.StringIO(answer.content.decode())))
    assert rows[0][:3] == ["time", "CPU and steal: CPU (%)", "CPU and steal: steal (%)"]
    assert len(rows) == 242
    assert {len(row) for row in rows} == {len(rows[0])}
    assert float(rows[-30][1]) > 0
    assert rows[1][1] == ""
    assert rows[1][0].endswith("+00:00")


def test_jobs_and_changes_of_state_are_on_the_time_axis(
    victoria_metrics: str, operator_client: Client, operator: User
) -> None:
    guest = DomainFactory.create()
    now = timezone.now()
    job = JobFactory.create(
        domain=guest, label="Shut down web1", state=Job.State.FAILED, exclusive=False, requested_by=operator
    )
    Job.objects.filter(pk=job.pk).update(created_at=now - timedelta(minutes=20), started_at=now - timedelta(minutes=20),
                                         finished_at=now - timedelta(minutes=19))  # fmt: skip
    common = {"uuid": guest.pk, "name": guest.name, "host_name": "kvm2"}
    for minutes, kind, state in (
        (50, GuestEvent.Kind.SEEN, "running"),
        (40, GuestEvent.Kind.MOVED, "running"),
        (30, GuestEvent.Kind.STATE, "crashed"),
        (19, GuestEvent.Kind.STATE, "shut_off"),  # that is what the job did
        (90, GuestEvent.Kind.STATE, "paused"),  # before the hour
    ):
        GuestEvent.objects.create(at=now - timedelta(minutes=minutes), kind=kind, state=state, **common)

    events = charts(operator_client, guest)["events"]

    texts = [event["text"] for event in events]
    assert texts[:3] == ["seen on kvm2: running", "moved to kvm2", "crashed"]
    assert texts[3].startswith("Shut down web1 (failed)")
    assert len(texts) == 4
    assert events[3]["url"] == f"/jobs/{job.pk}/"
    assert events[3]["tone"] == events[2]["tone"] == "bad"


def test_other_peoples_jobs_are_not_shown_to_viewers(victoria_metrics: str, viewer_client: Client) -> None:
    guest = DomainFactory.create()
    JobFactory.create(domain=guest, exclusive=False)
    assert charts(viewer_client, guest)["events"] == []


def test_the_page_has_the_frame_of_the_chosen_range(viewer_client: Client) -> None:
    guest = DomainFactory.create(max_vcpus=1)
    page = viewer_client.get(f"/domains/{guest.pk}/?range=week").content.decode()
    assert f'data-address="/domains/{guest.pk}/charts" data-query="range=week"' in page
    assert 'href="?range=week#charts" aria-current="page"' in page
    assert f"/domains/{guest.pk}/charts.csv?range=week" in page
    assert "Disk latency" in page
    assert "Each vCPU" not in page

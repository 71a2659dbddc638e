"""The page on which a guest is given more or less: what it shows first, what it refuses, and for whom it is."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from domains.models import Domain
from domains.tuning.job import TUNE
from domains.tuning.words import share_sentence
from tests.factories import DomainFactory, HostFactory, JobFactory
from tests.polling import poll
from tests.ticks import guest_sample, write_tick
from vmdash.access.models import User
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

MIB = 1024
XML = """<domain type='kvm'><name>web1</name><memory unit='MiB'>512</memory><vcpu current='1'>4</vcpu>{tune}<devices>
<disk type='file' device='disk'><target dev='vda'/></disk><memballoon model='virtio'/></devices></domain>"""


def disk(target: str, device: str = "disk", group: str = "", **limits: int) -> dict[str, object]:
    return {
        "target": target, "device": device, "bus": "virtio", "source": f"/{target}", "format": "raw",
        "readonly": False, "backing": [], "limits": limits, "limit_group": group,
    }  # fmt: skip


@pytest.fixture
def web1() -> Domain:
    """One vCPU of four, all of its 512 MiB, and vda limited to 10 MiB/s with bursts up to 20."""
    guest = DomainFactory.create(
        name="web1", host=HostFactory.create(name="kvm1", cpus=2), max_vcpus=4, xml=XML.format(tune=""),
        disks=[disk("vda", total_bytes_sec=10 << 20, total_bytes_sec_max=20 << 20), disk("hdc", "cdrom")],
    )  # fmt: skip
    write_tick(guest.host, {guest: guest_sample(mem=300 * MIB)})
    return guest


def get(client: Client, guest: Domain, status: int = 200, **asked: str) -> str:
    answer = client.get(
        reverse("guest-tune", args=[guest.pk]), {name.replace("__", "."): asked[name] for name in asked}
    )
    assert answer.status_code == status
    return " ".join(answer.content.decode().split())


def post(client: Client, guest: Domain, status: int = 302, **asked: str) -> str:
    answer = client.post(
        reverse("guest-tune-now", args=[guest.pk]), {name.replace("__", "."): asked[name] for name in asked}
    )
    assert answer.status_code == status
    return " ".join(answer.content.decode().split())


@pytest.mark.parametrize("who", ["nobody", "viewer", "help_desk"])
def test_who_may_not_configure_guests_may_not_tune_them(
    who: str, request: pytest.FixtureRequest, client_of: Callable[[User], Client], web1: Domain
) -> None:
    client = client_of(request.getfixturevalue(who))
    assert client.get(reverse("guest-tune", args=[web1.pk])).status_code == 403
    assert client.post(reverse("guest-tune-now", args=[web1.pk]), {"vcpus": "2"}).status_code == 403
    assert client.post(reverse("guest-tune-undo", args=[web1.pk])).status_code == 403
    assert not Job.objects.exists()


def test_strangers_are_sent_to_sign_in(client: Client, web1: Domain) -> None:
    assert client.get(reverse("guest-tune", args=[web1.pk])).status_code == 302
    assert client.post(reverse("guest-tune-now", args=[web1.pk]), {"vcpus": "2"}).status_code == 302
    assert not Job.objects.exists()


def test_the_guest_s_page_leads_there_for_those_who_may(
    operator_client: Client, viewer_client: Client, web1: Domain
) -> None:
    address = reverse("guest-tune", args=[web1.pk])
    for tab in ("hardware", "cpu", "disks"):
        there = reverse("guest-tab", args=[web1.pk, tab])
        assert address in operator_client.get(there).content.decode()
        assert address not in viewer_client.get(there).content.decode()


def test_limits_are_shown_beside_the_disk(viewer_client: Client, web1: Domain) -> None:
    text = viewer_client.get(reverse("guest-tab", args=[web1.pk, "disks"])).content.decode()
    assert "10 MiB/s, more in bursts" in text


def test_what_it_has_is_shown(operator_client: Client, web1: Domain) -> None:
    text = get(operator_client, web1)
    assert 'name="memory" value="512 MiB"' in text
    assert 'name="vda.total_bytes_sec" value="10 MiB"' in text
    assert "hdc" not in text
    assert "300 MiB of its memory used" in text
    assert "What would be set" not in text.partition("<form")[0]


def test_what_would_be_set_is_shown_first_with_what_is_to_be_known(operator_client: Client, web1: Domain) -> None:
    text = get(operator_client, web1, vcpus="3", memory="256 MiB", vda__total_bytes_sec="5 MiB")
    assert '<td class="wraps">1</td><td class="wraps"><b>3</b></td>' in text
    assert "kvm1 has 2 CPUs" in text
    assert "It uses 300 MiB now" in text
    assert "virsh setmem web1 262144 --live --config; virsh setvcpus web1 3 --live --config" in text
    assert not Job.objects.exists()


def test_less_vcpus_need_the_guest(operator_client: Client, web1: Domain) -> None:
    Domain.objects.filter(pk=web1.pk).update(vcpus=2)
    assert "The guest has to let vCPUs go" in get(operator_client, web1, vcpus="1")


def test_what_was_shown_is_what_is_asked_for(operator_client: Client, web1: Domain) -> None:
    """The form sends what changes and nothing else: somebody may have changed the rest meanwhile."""
    text = get(operator_client, web1, vcpus="2", memory="512 MiB", cpu_shares="")
    assert '<input type="hidden" name="vcpus" value="2">' in text
    assert '<input type="hidden" name="memory"' not in text


def test_setting_it_makes_a_job(operator_client: Client, web1: Domain) -> None:
    post(operator_client, web1, vcpus="2", cpu_shares="512", vda__total_bytes_sec="", vda__read_iops_sec="300")
    job = Job.objects.get()
    assert (job.kind, job.label) == ("domain.tune", "Tune web1: 2 vCPUs, CPU shares 512, limits of vda")
    wanted = {"vcpus": 2, "memory_kib": None, "cpu_shares": 512, "disks": {"vda": {"read_iops_sec": 300}}}
    assert job.parameters["after"] == {"now": wanted, "next": wanted}


def test_a_burst_stays_with_the_limit_that_it_exceeds(operator_client: Client, web1: Domain) -> None:
    post(operator_client, web1, vda__total_bytes_sec="15 MiB")
    wanted = {"total_bytes_sec": 15 << 20, "total_bytes_sec_max": 20 << 20}
    assert Job.objects.get().parameters["after"]["now"]["disks"] == {"vda": wanted}


@pytest.mark.parametrize(
    "asked",
    [
        {"vcpus": "0"},
        {"vcpus": "5"},
        {"vcpus": "x"},
        {"memory": "8 MiB"},
        {"memory": "513 MiB"},
        {"memory": "much"},
        {"memory": "-1"},
        {"cpu_shares": "1"},
        {"cpu_shares": "300000"},
        {"vda__total_bytes_sec": "fast"},
        {"vda__read_iops_sec": "-3"},
        {"vda__write_bytes_sec": "1"},
        {"vda__total_iops_sec": "9", "vda__read_iops_sec": "5"},
        {"vda__total_bytes_sec": "999999 TiB"},
    ],
)
def test_what_cannot_be_is_refused(operator_client: Client, web1: Domain, asked: dict[str, str]) -> None:
    get(operator_client, web1, 400, **asked)
    assert 'class="errors"' in post(operator_client, web1, 400, **asked)
    assert not Job.objects.exists()


def test_what_it_has_already_is_no_job(operator_client: Client, web1: Domain) -> None:
    assert "Nothing would change" in get(operator_client, web1, vcpus="1")
    assert "has that already" in post(operator_client, web1, 409, vcpus="1")
    assert not Job.objects.exists()


def test_a_disk_that_it_does_not_have_is_left_out(operator_client: Client, web1: Domain) -> None:
    post(operator_client, web1, 409, vdz__total_bytes_sec="5 MiB", hdc__total_bytes_sec="5 MiB")
    assert not Job.objects.exists()


def test_a_host_that_does_not_answer_is_said(operator_client: Client, web1: Domain) -> None:
    type(web1.host).objects.filter(pk=web1.host_id).update(state="unreachable")
    assert "Its host kvm1 does not answer." in get(operator_client, web1, vcpus="2")
    post(operator_client, web1, 409, vcpus="2")
    assert not Job.objects.exists()


def test_a_guest_that_nobody_has_read_yet_says_so(operator_client: Client) -> None:
    assert "Its definition has not been read" in get(operator_client, DomainFactory.create(xml=""))


def test_a_next_start_with_something_else_is_said(operator_client: Client, web1: Domain) -> None:
    Domain.objects.filter(pk=web1.pk).update(vcpus=2)
    assert "Its definition says something else: 1 vCPU." in get(operator_client, web1)


def test_limits_are_shown_beside_what_the_disk_does(
    victoria_metrics: str, operator_client: Client, web1: Domain
) -> None:
    now, only = int(time.time()), f'uuid="{web1.pk}",target_device="vda"'
    lines = [
        f"libvirt_domain_block_stats_{counter}_total{{{only}}} {each * (3000 - ago)} {(now - ago) * 1000}"
        for ago in range(0, 3000, 15)
        for counter, each in (("read_bytes", 4 << 20), ("write_requests", 50))
    ]
    httpx.post(f"{victoria_metrics}/api/v1/import/prometheus", content="\n".join(lines)).raise_for_status()
    poll(lambda: "50 writes/s now" in get(operator_client, web1), 20, "the counters to be readable")
    text = get(operator_client, web1)
    assert "4 MiB/s read now, 4 MiB/s read at most" in text
    assert "50 writes/s now, 50 writes/s at most" in text
    assert "vda had up to 4 MiB/s read" in get(operator_client, web1, vda__total_bytes_sec="2 MiB")
    assert "vda had up to" not in get(operator_client, web1, vda__total_bytes_sec="5 MiB")


@pytest.fixture
def sharing(web1: Domain) -> Domain:
    """vda, vdb and a drive share 10 MiB/s and 500 reads/s; vdc is alone."""
    limits = {"total_bytes_sec": 10 << 20, "read_iops_sec": 500}
    web1.disks = [
        disk("vda", "disk", "fast", **limits),
        disk("vdb", "disk", "fast", **limits),
        disk("vdc", "disk", "lone", **limits),
        disk("hdc", "cdrom", "fast", **limits),
    ]
    web1.save()
    return web1


def test_disks_that_share_their_limits_say_so(operator_client: Client, sharing: Domain) -> None:
    text = get(operator_client, sharing)
    assert 'vda<div class="small muted">shares its limits with vdb, hdc (group fast)</div>' in text
    assert "vdc</th>" in text
    assert "Set on one of them, it is set on all" in text
    part = operator_client.get(reverse("guest-tab", args=[sharing.pk, "disks"])).content.decode()
    assert "10 MiB/s, 500 reads/s, shared with vda, hdc (group fast)" in part


def test_disks_that_share_nothing_have_no_word_of_it(operator_client: Client, web1: Domain) -> None:
    text = get(operator_client, web1)
    assert "shares its limits" not in text
    assert "Disks of a group" not in text


def test_a_limit_of_one_disk_is_set_for_all_that_share_it(operator_client: Client, sharing: Domain) -> None:
    text = get(operator_client, sharing, vdb__total_bytes_sec="5 MiB")
    assert '<th scope="row">Limits of vda, vdb, hdc (group fast)</th>' in text
    assert "vda, vdb, hdc share one limit (group fast): what is set holds for all of them." in text
    post(operator_client, sharing, vdb__total_bytes_sec="5 MiB")
    wanted = Job.objects.get().parameters["after"]["now"]
    assert wanted["disks"] == {"vdb": {"total_bytes_sec": 5 << 20, "read_iops_sec": 500}}


def test_two_disks_that_share_a_limit_cannot_have_two(operator_client: Client, sharing: Domain) -> None:
    two = {"vda__total_bytes_sec": "5 MiB", "vdb__total_bytes_sec": "6 MiB"}
    assert "it shares its limits with vda (group fast)" in get(operator_client, sharing, 400, **two)
    post(operator_client, sharing, 400, **two)
    assert not Job.objects.exists()
    text = get(operator_client, sharing, 200, **two | {"vdb__total_bytes_sec": "5 MiB"})
    assert text.count("Limits of vda, vdb, hdc (group fast)") == 1
    get(operator_client, sharing, 200, **two | {"vdb__total_bytes_sec": "10 MiB", "vdc__total_bytes_sec": "6 MiB"})


def test_a_disk_without_limits_leaves_its_group(operator_client: Client, sharing: Domain) -> None:
    text = get(operator_client, sharing, vda__total_bytes_sec="", vda__read_iops_sec="")
    assert '<th scope="row">Limits of vda</th>' in text
    assert "Without a limit vda leaves the group fast: vdb, hdc keep the limit without it." in text


@pytest.mark.parametrize("limited", ["vda", "hdc"])
def test_a_disk_of_a_group_without_limits_of_its_own_has_those_of_the_others(
    operator_client: Client, web1: Domain, limited: str
) -> None:
    web1.disks = [
        disk(target, device, "fast", **({"total_bytes_sec": 10 << 20} if target == limited else {}))
        for target, device in (("vda", "disk"), ("vdb", "disk"), ("hdc", "cdrom"))
    ]
    web1.save()
    text = get(operator_client, web1, vdb__total_bytes_sec="5 MiB")
    assert '<td class="wraps">10 MiB/s</td><td class="wraps"><b>5 MiB/s</b></td>' in text
    assert 'name="vdb.total_bytes_sec" value="10 MiB"' in get(operator_client, web1)
    part = operator_client.get(reverse("guest-tab", args=[web1.pk, "disks"])).content.decode()
    assert "10 MiB/s, shared with vda, hdc (group fast)" in part
    assert "Without a limit vdb leaves the group fast" in get(operator_client, web1, vdb__total_bytes_sec="")
    post(operator_client, web1, vdb__total_bytes_sec="")
    assert Job.objects.get().parameters["after"]["now"]["disks"] == {"vdb": {}}


def test_what_disks_did_together_is_set_against_a_limit_that_they_share(
    victoria_metrics: str, operator_client: Client, sharing: Domain
) -> None:
    now = int(time.time())
    lines = [
        f'libvirt_domain_block_stats_read_bytes_total{{uuid="{sharing.pk}",target_device="{target}"}} '
        f"{(2 << 20) * (3000 - ago)} {(now - ago) * 1000}"
        for ago in range(0, 3000, 15)
        for target in ("vda", "vdb", "vdc")
    ]
    httpx.post(f"{victoria_metrics}/api/v1/import/prometheus", content="\n".join(lines)).raise_for_status()
    poll(lambda: "2 MiB/s read now" in get(operator_client, sharing), 20, "the counters to be readable")
    text = get(operator_client, sharing, vda__total_bytes_sec="3 MiB", vdc__total_bytes_sec="3 MiB")
    assert "vda, vdb, hdc together had up to 4 MiB/s read in the last hour, more than they may then." in text
    assert "vdc had up to" not in text
    assert "together had up to" not in get(operator_client, sharing, vda__total_bytes_sec="5 MiB")


def test_a_history_that_is_away_is_said(operator_client: Client, web1: Domain, settings: Settings) -> None:
    settings.TSDB_URL = "http://127.0.0.1:1"
    assert "The history store does not answer." in get(operator_client, web1)


def test_the_last_change_is_shown_with_the_guest_s_answer_and_undone(operator_client: Client, web1: Domain) -> None:
    before: dict[str, object] = {"vcpus": 1, "memory_kib": None, "cpu_shares": None, "disks": {}}
    job = JobFactory.create(
        kind=TUNE.name, state="succeeded", target_kind="domain", target_id=str(web1.pk), label="Tune web1: 2 vCPUs",
        parameters={"after": {}, "before": {"now": {**before, "vcpus": None}, "next": before}},
    )  # fmt: skip
    job.lines.create(text="libvirt reports 2 vCPUs, as asked.")
    assert "libvirt reports 2 vCPUs, as asked." in get(operator_client, web1)
    operator_client.post(reverse("guest-tune-undo", args=[web1.pk]))
    undoing = Job.objects.get(state="queued")
    assert undoing.label == "Undo: Tune web1: 2 vCPUs"
    # It was off when it was tuned, and runs now with what it was given then.
    assert undoing.parameters["after"] == {"now": before, "next": before}


def test_nothing_to_undo_is_said(operator_client: Client, web1: Domain) -> None:
    answer = operator_client.post(reverse("guest-tune-undo", args=[web1.pk]), follow=True)
    assert "Nobody has tuned web1 by vmdash." in answer.content.decode()


@pytest.mark.parametrize(
    ("own", "others", "words"),
    [
        (0, [], "nobody to share with"),
        (300, [100], "it gets 75 % of it, beside the one other guest that runs there now."),
        (0, [0, 0, 0], "it gets 25 % of it, beside the 3 other guests that run there now. All have the same shares."),
        (1024, [0], "it gets 50 % (cgroup v1) or 91 % (cgroup v2) of it"),
    ],
)
def test_what_shares_are_worth(own: int, others: list[int], words: str) -> None:
    assert words in share_sentence(own, others)


def test_shares_are_set_against_those_of_the_others_that_run(operator_client: Client, web1: Domain) -> None:
    tune = "<cputune><shares>100</shares></cputune>"
    DomainFactory.create(host=web1.host, xml=XML.format(tune=tune))
    DomainFactory.create(host=web1.host, xml=XML.format(tune=tune), state="shut_off")
    assert "it gets 75 % of it, beside the one other guest" in get(operator_client, web1, cpu_shares="300")

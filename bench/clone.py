"""Clones against `qemu-img`, uploads and downloads against `virsh`: `make bench-clone`.

Everything is asked for as a browser does, on the practice host that is reached over TCP, and timed until the job says
that it is done. Each figure comes with its baseline of the same run, in turn.
"""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import httpx

from bench import browsing
from bench.report import Figure, at_most, report
from tests.booting import wait_for_boot
from tests.lab_fixtures import spare_lab
from tests.polling import poll
from tests.product import Product, running_product
from vmdash.lab import fleet
from vmdash.lab.commands import LabError, run
from vmdash.lab.qemu_host import QemuHost

MIB = 1 << 20
GIB = 1 << 30
CLONES, ROUNDS = 9, 3
TRANSFER_BYTES = GIB
IMAGES = Path("/var/lib/libvirt/images")
POOL = "/storage/pools/kvm1/default"
SOURCE, COPY, BASELINE, FILE = "bench-source.qcow2", "bench-copy.qcow2", "bench-baseline.qcow2", "bench.raw"
TEMPLATE = "legacy-erp"


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to clear away whatever ends it
    print("Bringing up the practice fleet.", flush=True)
    with spare_lab() as lab, tempfile.TemporaryDirectory(prefix="vmdash-bench-", dir=lab.cache.parent) as folder:
        fleet.up(lab, print)
        hosts = {host.spec.name: host for host in fleet.qemu_hosts(lab)}
        wait_for_boot(hosts.values())
        for name in ("ci-7", "build-2"):
            hosts["kvm1"].virsh("destroy", name)  # they would take a processor from whoever is measured
        with running_product(lab) as product:
            product.share_settings()
            bench = _Bench(product, hosts["kvm1"], Path(folder))
            figures = [*bench.full_clone(), *bench.linked_clone(), *bench.transfers()]
    return 0 if report("clone", figures) else 1


class _Bench:
    def __init__(self, product: Product, kvm1: QemuHost, folder: Path) -> None:
        self.product = product
        self.kvm1 = kvm1
        self.folder = folder
        self.client = product.sign_in("operator")
        self.client.timeout = httpx.Timeout(120)
        self.name = ""
        self._numbers = 0

    def new_name(self, name: str) -> str:
        """Volumes that were deleted behind its back are known to vmdash for a while."""
        self._numbers += 1
        self.name = f"{self._numbers}-{name}"
        return self.name

    def path(self, name: str) -> Path:
        return self.kvm1.root / str(IMAGES / name).lstrip("/")

    def remove(self, name: str) -> None:
        with suppress(LabError):
            self.kvm1.virsh("vol-delete", name, "default")
        os.sync()  # nobody pays for what others wrote

    def seconds(self, call: Callable[[], object]) -> float:
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    # Clones

    def full_clone(self) -> list[Figure]:
        from storage.models import Pool, Volume

        source = self.path(SOURCE)
        run(["qemu-img", "create", "-q", "-f", "qcow2", source, "2G"])
        writes = [word for n in range(8) for word in ("-c", f"write -q -P {n + 1} {n * 256}M 128M")]
        run(["qemu-io", "-f", "qcow2", *writes, source])
        self.kvm1.virsh("pool-refresh", "default")
        poll(lambda: Volume.objects.filter(name=SOURCE, pool__host__name="kvm1").exists(), 60, f"{SOURCE} to be seen")
        pool = Pool.objects.get(name="default", host__name="kvm1")
        address = f"{POOL}/volumes/{SOURCE}/clone/"
        fields = {"pool": str(pool.pk), "format": "qcow2", "capacity_bytes": ""}

        def prepare() -> None:
            fields["name"] = self.new_name(COPY)
            fields["csrfmiddlewaretoken"] = browsing.token(self.client.get(address))

        def ours() -> None:
            browsing.ended(browsing.job_on(browsing.send(self.client, address, fields)))

        def theirs() -> None:
            # As libvirt does it.
            command = ["qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", "-o", "compat=1.1"]
            self.kvm1.run([*command, str(IMAGES / SOURCE), str(IMAGES / BASELINE)])

        def forget() -> None:
            prepare()
            with source.open("rb") as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

        warm = self._in_turn(ours, theirs, prepare, from_disk=False)
        cold = self._in_turn(ours, theirs, forget, from_disk=True)
        self.remove(SOURCE)
        words = "a full clone of a 2 GiB qcow2 (half written) against `qemu-img convert`"
        return [
            at_most(f"{words}, from disk to disk", cold, "×", 1.15, "ratio"),
            at_most(f"{words}, within the memory of the host", warm, "×", 1.15, "ratio"),
        ]

    def _in_turn(
        self,
        ours: Callable[[], object],
        theirs: Callable[[], object],
        prepare: Callable[[], None],
        *,
        from_disk: bool,
    ) -> float:
        """The ratio of the medians; with `from_disk` the time until all is on the disk."""
        taken: dict[str, list[float]] = {COPY: [], BASELINE: []}
        for number in range(-1, CLONES):  # the first round warms everything up
            for name, call in ((COPY, ours), (BASELINE, theirs)):
                os.sync()
                prepare()
                seconds = self.seconds(call) + (self.seconds(os.sync) if from_disk else 0)
                self.path(BASELINE).unlink(missing_ok=True)
                self.remove(self.name)
                if number >= 0:
                    taken[name].append(seconds)
        where = "from disk to disk" if from_disk else "in memory"
        print(f"full clone {where}, seconds: vmdash {_words(taken[COPY])}; qemu-img {_words(taken[BASELINE])}")
        return statistics.median(taken[COPY]) / statistics.median(taken[BASELINE])

    def linked_clone(self) -> list[Figure]:
        from domains.models import Domain
        from storage.models import Volume

        domain = Domain.objects.select_related("host").get(name=TEMPLATE)
        page = f"/domains/{domain.pk}/clone/"
        disk = domain.disks[0]["source"]
        poll(lambda: Volume.objects.filter(path=disk, pool__host=domain.host).exists(), 90, f"{disk} to be seen")
        browsing.post(self.client, f"{page}template/", {"make": "template"}, form=page)
        poll(lambda: Domain.objects.get(pk=domain.pk).is_template, 30, f"{TEMPLATE} to be a template")
        poll(lambda: not _busy(domain.pk), 30, f"{TEMPLATE} to be free")
        taken = []
        for number in range(ROUNDS):
            fields = {
                "name": f"linked-{number}",
                "count": "1",
                "first": "1",
                "kind": "linked",
                "place": str(domain.host_id),
                "at_once": "1",
                "do": "clone",
            }
            fields["csrfmiddlewaretoken"] = browsing.token(self.client.get(page))
            began = time.perf_counter()
            browsing.ended(browsing.job_on(browsing.send(self.client, page, fields)))
            taken.append(time.perf_counter() - began)
        print(f"linked clone, seconds: {_words(taken)}", flush=True)
        return [at_most("a linked clone of a guest", max(taken), "s", 2, "slowest")]

    # Transfers

    def transfers(self) -> list[Figure]:
        content = self.folder / "content"
        with content.open("wb") as file:
            for _ in range(TRANSFER_BYTES // (8 * MIB)):
                file.write(os.urandom(8 * MIB))
        web, gateway = self._process("uvicorn"), self._process("transfer_gateway")
        before = [_peak_mib(web), _peak_mib(gateway)]
        up: dict[str, list[float]] = {"vmdash": [], "virsh": []}
        down: dict[str, list[float]] = {"vmdash": [], "virsh": []}
        for _ in range(ROUNDS):
            self.new_name(FILE)
            up["vmdash"].append(self.seconds(lambda: self._upload(content)))
            down["vmdash"].append(self.seconds(self._download))
            self.remove(self.name)
            self.kvm1.virsh("vol-create-as", "default", self.name, str(TRANSFER_BYTES), "--format", "raw")
            up["virsh"].append(self.seconds(lambda: self._virsh("vol-upload", content)))
            down["virsh"].append(self.seconds(lambda: self._virsh("vol-download", Path("/dev/null"))))
            self.remove(self.name)
        growth = max(_peak_mib(web) - before[0], _peak_mib(gateway) - before[1])
        figures = []
        for words, taken in (("upload", up), ("download", down)):
            print(f"{words}, seconds: vmdash {_words(taken['vmdash'])}; virsh {_words(taken['virsh'])}", flush=True)
            share = 100 * statistics.median(taken["virsh"]) / statistics.median(taken["vmdash"])
            figure = f"{words} of a 1 GiB image, of the rate of `virsh vol-{words}`"
            figures.append(Figure(figure, round(share, 1), "%", "≥ 60 %", share >= 60))
        return [
            *figures,
            at_most("memory of the web and the transfer process grows by", growth, "MiB", 64, "the larger"),
        ]

    def _upload(self, content: Path) -> None:
        page = f"{POOL}/upload-volume/"
        fields = {"name": self.name, "sha256": "", "size_bytes": str(TRANSFER_BYTES), "file_name": FILE}
        address = browsing.post(self.client, page, fields).json()["page"]
        csrf = browsing.token(self.client.get(address))
        ticket = self._ticket(address, csrf)
        headers = {
            "Authorization": f"Ticket {ticket['token']}",
            "Upload-Offset": "0",
            "Origin": self.product.url,
            "Content-Length": str(TRANSFER_BYTES),
        }
        self.client.put(ticket["url"], content=_pieces(content), headers=headers).raise_for_status()
        job = self.client.get(f"{address}state/").json()["job"]
        browsing.ended(job.rstrip("/").rpartition("/")[2])

    def _ticket(self, address: str, csrf: str) -> dict[str, str]:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            found: dict[str, str] = browsing.send(
                self.client, f"{address}ticket/", {"csrfmiddlewaretoken": csrf}
            ).json()
            if "token" in found:
                return found
            time.sleep(browsing.LOOK_S)
        raise TimeoutError("No ticket for the upload.")

    def _download(self) -> None:
        with self.client.stream("GET", f"{POOL}/volumes/{self.name}/download/") as answer:
            answer.raise_for_status()
            length = sum(len(piece) for piece in answer.iter_raw(MIB))
        if length != TRANSFER_BYTES:
            raise RuntimeError(f"{length} bytes came.")

    def _virsh(self, command: str, file: Path) -> None:
        run(["virsh", "-q", "-c", self.kvm1.uri, command, "--pool", "default", self.name, file], stdin="")

    def _process(self, word: str) -> int:
        """The process of the product whose command has that word."""
        mark = f"VMDASH_DATA_DIR={self.product.environment['VMDASH_DATA_DIR']}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if word.encode() in (process / "cmdline").read_bytes() and mark in (process / "environ").read_bytes():
                    return int(process.name)
        raise RuntimeError(f"The product has no process {word}.")


def _busy(pk: UUID) -> bool:
    from vmdash.jobs.models import Job

    return Job.objects.unfinished().filter(target_id=str(pk)).exists()


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as content:
        while piece := content.read(MIB):
            yield piece


def _peak_mib(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def _words(seconds: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in seconds)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.SubprocessError as error:
        sys.exit(str(error))

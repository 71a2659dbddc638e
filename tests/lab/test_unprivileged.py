"""The fleet without root: libvirt's test driver behind the same interface."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pytest

from tests.lab_fixtures import spare_lab

pytestmark = pytest.mark.lab

_NOBODY = 65534
_SCRIPT = f"""
import os, sys
from pathlib import Path
from vmdash.lab import fleet, inventory
from vmdash.lab.layout import Lab
os.setgroups([]); os.setgid({_NOBODY}); os.setuid({_NOBODY})
lab = Lab(Path(sys.argv[1]), Path("/nonexistent"), int(sys.argv[2]))
try:
    fleet.up(lab, print)
    fleet.up(lab, print)
    for host in fleet.status(lab):
        print(host.name, host.running, host.defined, *host.problems)
    print(fleet.hosts(lab)[1].virsh("domstate", "git").strip())
    print(sorted({{(entry["driver"], entry["transport"], entry["path"]) for entry in inventory.inventory(lab)}}))
finally:
    fleet.down(lab)
print([host.answers for host in fleet.status(lab)])
"""


def test_without_root_the_hosts_have_the_test_driver_and_the_same_guests() -> None:
    with spare_lab() as spare, tempfile.TemporaryDirectory() as home:
        os.chown(home, _NOBODY, _NOBODY)
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, f"{home}/lab", str(spare.net)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Without root")
    assert lines[2:] == [
        "kvm1 5 5",
        "kvm2 2 4",
        "kvm3 2 3",
        "paused",
        "[('test', 'tcp', '/default')]",
        "[False, False, False]",
    ]

"""The units for systemd fit the Procfile and let no process do much, and the settings beside them are sound."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from tests.deploy.units import DEPLOY, UNITS, production, settings_of
from vmdash import env
from vmdash.lab.layout import REPOSITORY
from vmdash.main import prepare, programs

SERVICES = sorted(file.name for file in UNITS.glob("vmdash-*.service"))
MOST_EXPOSED = 20
"""In tenths; systemd says OK up to 50."""


def unit(name: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNITS / name)
    return parser


def test_each_process_has_a_unit_that_the_target_starts() -> None:
    of_processes = {f"vmdash-{name}.service" for name in programs.commands()}
    assert set(SERVICES) == of_processes | {"vmdash-prepare.service"}
    wanted = re.findall(r"vmdash-\w+\.service", (UNITS / "vmdash.target").read_text())
    assert set(wanted) == of_processes
    for name in programs.commands():
        service = unit(f"vmdash-{name}.service")
        assert service["Service"]["ExecStart"].endswith(f" manage.py process {name}")
        assert service["Unit"]["Requires"] == "vmdash-prepare.service"
        assert "vmdash-prepare.service" in service["Unit"]["After"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_no_unit_may_do_much() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager"]
        + [str(UNITS / name) for name in SERVICES],
        capture_output=True,
        text=True,
        env={"SYSTEMD_UNIT_PATH": f"{UNITS}:", "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )
    found = re.findall(r"Overall exposure level for (\S+): (\S+) (\w+)", done.stdout)
    assert {name for name, _, _ in found} == set(SERVICES), done.stdout + done.stderr
    assert {word for _, _, word in found} <= {"PERFECT", "SAFE", "OK"}
    assert done.returncode == 0, found
    assert done.stderr == ""


def test_the_environment_file_has_settings_alone() -> None:
    file = DEPLOY / "vmdash.env"
    mentioned = set(re.findall(r"^#?([A-Z_]+)=", file.read_text(), re.MULTILINE))
    assert mentioned <= env.KNOWN
    assert set(settings_of(file)) <= mentioned


def test_the_production_settings_pass_djangos_own_check(tmp_path: Path) -> None:
    private = {"VMDASH_DATA_DIR": str(tmp_path / "data"), "VMDASH_STATIC_DIR": str(tmp_path / "static")}
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=REPOSITORY,
        env=production(private),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_a_process_becomes_what_the_procfile_says(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execvpe", lambda _, command, environment: became.append((command, environment)))
    monkeypatch.setattr(os, "chdir", lambda folder: None)
    call_command("process", "web")
    ((_, _, command), environment) = became[0]
    assert command == programs.commands()["web"]
    variables = set(re.findall(r"\$(\w+)", command))
    assert variables
    assert variables <= set(environment)


def test_a_server_that_is_elsewhere_is_not_started(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.EMBEDDED_REDIS = False
    monkeypatch.setattr(os, "execvpe", lambda *arguments: pytest.fail("it was started"))
    call_command("process", "redis")
    assert "another redis" in capsys.readouterr().out
    with pytest.raises(CommandError):
        call_command("process", "no-such-process")


def test_files_for_browsers_can_be_read_by_the_web_server(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path
) -> None:
    """Whatever the mask of the process is; and they are gathered again when somebody removed them."""
    settings.DATA_DIR, settings.STATIC_ROOT = tmp_path, tmp_path / "cache" / "static"
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "one.css").write_text("a { color: red }" * 100)
    settings.STATICFILES_DIRS = [tmp_path / "small"]
    settings.STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "vmdash.main.staticfiles.HashedStorage"},
    }
    before = os.umask(0o077)
    try:
        prepare._collect_static_files()
        shutil.rmtree(settings.STATIC_ROOT)
        prepare._collect_static_files()
    finally:
        os.umask(before)
    made = list(settings.STATIC_ROOT.rglob("*"))
    assert any(file.name.endswith(".gz") for file in made)
    for file in [settings.STATIC_ROOT, *made]:
        needed = stat.S_IROTH | (stat.S_IXOTH if file.is_dir() else 0)
        assert file.stat().st_mode & needed == needed, file

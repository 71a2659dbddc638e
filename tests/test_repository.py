"""What the repository promises about itself: documents, templates and files for browsers fit the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.template.loader import get_template
from pytest_django import Settings

from vmdash import env
from vmdash.lab.layout import Lab

ROOT = Path(__file__).parent.parent
TEMPLATES = ROOT / "templates"


@pytest.mark.parametrize(
    "name", [str(file.relative_to(TEMPLATES)) for file in sorted(TEMPLATES.rglob("*")) if file.is_file()]
)
def test_every_template_compiles(name: str) -> None:
    get_template(name)


def test_every_static_file_can_be_hashed(settings: Settings, tmp_path: Path) -> None:
    """References between style sheets and modules lead somewhere, and never in a circle."""
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "vmdash.main.staticfiles.HashedStorage"},
    }
    call_command("collectstatic", interactive=False, verbosity=0)
    assert (tmp_path / "staticfiles.json").exists()


def test_the_readme_lists_every_setting_with_its_name() -> None:
    Lab.from_environment()
    listed = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert listed == env.KNOWN


def test_every_process_of_the_procfile_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for line in (ROOT / "Procfile").read_text().splitlines():
        if line and not line.startswith("#"):
            assert f"| {line.partition(':')[0]} |" in readme


def test_nobody_but_the_settings_reads_the_environment() -> None:
    allowed = {"env.py", "checks.py", "programs.py", "databases.py", "asgi.py", "celery.py"}
    readers = {
        str(file.relative_to(settings.BASE_DIR))
        for folder in ("vmdash", "hosts", "domains", "storage")
        for file in (ROOT / folder).rglob("*.py")
        if re.search(r"os\.(environ|getenv)", file.read_text()) and file.name not in allowed
    }
    assert readers == set()

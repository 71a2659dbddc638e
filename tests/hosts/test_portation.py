"""Hosts in and out as files: strict, all or nothing, and the same again changes nothing."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hosts.keys import generate_ssh_key
from hosts.models import Credential, Host, Site, Tag
from hosts.portation import FaultyFile, Imported, import_hosts, read_file
from hosts.portation.columns import COLUMNS
from tests.certificates import Authority
from tests.factories import CredentialFactory, HostFactory, SiteFactory, TagFactory
from vmdash.access.models import AuditEntry

pytestmark = pytest.mark.django_db

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKR10kmChs2Q3wjOxrZ29SbBCu8Xf7kuMaqw/mj/j9dt"
SASL = {"name": "sasl", "kind": "sasl", "username": "vmdash", "password": "sesame"}

YAML = """\
- name: kvm1
  site: Zürich
  tags: [web, production]
  transport: tcp
  address: 10.0.0.1
  credential: {name: sasl, kind: sasl, username: vmdash, password_file: password}
- name: kvm2
  transport: tcp
  address: 10.0.0.2
  port: 16510
  enabled: no
  credential: sasl
"""
CSV = """\
name,transport,address,tags,enabled,credential,credential_kind,credential_username,credential_password_file
kvm1,tcp,10.0.0.1,web production,,sasl,sasl,vmdash,password
kvm2,tcp,10.0.0.2,,no,sasl,,,
"""


def bring(folder: Path, text: str, name: str = "hosts.yaml", *, dry_run: bool = False) -> Imported:
    (folder / "password").write_text("sesame\n")
    file = folder / name
    file.write_text(text)
    return import_hosts(user=None, entries=read_file(file), folder=folder, dry_run=dry_run)


def faults_of(folder: Path, text: str, name: str = "hosts.yaml") -> list[str]:
    """What is wrong with a file, and that it changed nothing."""
    before = everything()
    with pytest.raises(FaultyFile) as caught:
        bring(folder, text, name)
    assert everything() == before
    return [str(fault) for fault in caught.value.faults]


def everything() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (Host, Credential, Site, Tag, AuditEntry)]


class TestImporting:
    @pytest.mark.parametrize(("text", "name"), [(YAML, "hosts.yaml"), (YAML, "hosts.YML"), (CSV, "hosts.csv")])
    def test_hosts_come_with_site_tags_and_credential(self, tmp_path: Path, text: str, name: str) -> None:
        assert bring(tmp_path, text, name).added == ["kvm1", "kvm2"]
        one, two = Host.objects.all()
        assert (one.driver, one.address, one.enabled) == ("qemu", "10.0.0.1", True)
        assert [tag.name for tag in one.tags.all()] == ["production", "web"]
        assert one.credential == two.credential == Credential.objects.get()
        assert Credential.objects.get().password == "sesame"
        assert not two.enabled

    @pytest.mark.parametrize(("text", "name"), [(YAML, "hosts.yaml"), (CSV, "hosts.csv")])
    def test_the_same_file_again_changes_nothing(self, tmp_path: Path, text: str, name: str) -> None:
        bring(tmp_path, text, name)
        before = everything()
        assert bring(tmp_path, text, name).unchanged == ["kvm1", "kvm2"]
        assert everything() == before

    def test_columns_that_are_not_given_keep_their_value(self, tmp_path: Path) -> None:
        bring(tmp_path, YAML)
        assert bring(tmp_path, "- {name: kvm1, description: Rack 4}").changed == ["kvm1"]
        host = Host.objects.get(name="kvm1")
        assert (host.description, host.address, str(host.site), host.credential_id is None) == (
            "Rack 4",
            "10.0.0.1",
            "Zürich",
            False,
        )

    def test_a_dry_run_tells_and_changes_nothing(self, tmp_path: Path) -> None:
        before = everything()
        assert bring(tmp_path, YAML, dry_run=True).added == ["kvm1", "kvm2"]
        assert everything() == before

    def test_a_changed_secret_is_taken_over(self, tmp_path: Path) -> None:
        bring(tmp_path, YAML)
        bring(tmp_path, YAML.replace("password_file: password", "password: new one"))
        assert Credential.objects.get().password == "new one"

    def test_plain_data_is_taken_as_well(self) -> None:
        entry = {
            "name": "kvm3",
            "transport": "ssh",
            "address": "10.0.0.3",
            "username": "root",
            "known_host_key": KEY,
            "credential": {"name": "key", "kind": "ssh_key", "private_key": generate_ssh_key()},
        }
        assert import_hosts(user=None, entries=[entry]).added == ["kvm3"]
        assert import_hosts(user=None, entries=[entry]).unchanged == ["kvm3"]
        assert Host.objects.get().known_host_key == KEY

    def test_a_trusted_certificate_may_stand_in_a_file(self, tmp_path: Path) -> None:
        certificate, _ = Authority().issue("kvm1")
        (tmp_path / "cert.pem").write_text(certificate)
        bring(tmp_path, "- {name: kvm1, transport: tls, address: kvm1, known_certificate_file: cert.pem}")
        assert Host.objects.get().known_certificate == certificate

    def test_a_host_that_moves_and_brings_its_key_keeps_it(self, tmp_path: Path) -> None:
        HostFactory.create(name="kvm1", transport="ssh", address="10.0.0.1", known_host_key=KEY)
        bring(tmp_path, f"- {{name: kvm1, address: 10.0.0.9, known_host_key: {KEY}}}")
        host = Host.objects.get()
        assert (host.address, host.known_host_key) == ("10.0.0.9", KEY)


class TestFaults:
    def test_every_row_is_judged_with_its_line(self, tmp_path: Path) -> None:
        text = (
            "- {name: kvm1, transport: tcp, address: kvm1/x}\n- {name: kvm2}\n- {name: kvm1, address: a, colour: red}\n"
        )
        assert faults_of(tmp_path, text) == [
            f"line 3: colour: There is no such column. Known are: {', '.join(COLUMNS)}.",
        ]
        faults = faults_of(tmp_path, text.replace(", colour: red", ""))
        assert [fault.split(": ")[0:2] for fault in faults] == [
            ["line 1", "address"],
            ["line 2", "address"],
            ["line 3", "name"],
        ]
        assert "The host of line 1 has the same name" in faults[2]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "not a list of hosts"),
            ("name: kvm1", "not a list of hosts"),
            ("- kvm1", "This is not a host"),
            ("- {name: [kvm1}", "line 1: This is not YAML"),
            ("- !!python/object/apply:os.system [id]", "This is not a host"),
            ("- {name: !!python/object/apply:os.system [id]}", "This is not YAML"),
            ("- {name: a, name: b, address: c}", "stands here twice"),
            ("- {[a]: b}", "one word"),
            ("- {name: on, address: a}", "Write it in quotes"),
            ("- {name: 1.5, address: a}", "Write it in quotes"),
            ("- {name: 2024-99-99, address: a}", "not YAML"),
            ("- {name: {a: b}, address: a}", "Write it in quotes"),
            ("- {name: kvm1, address: a, enabled: perhaps}", "Write yes or no"),
            ("- {name: kvm1, address: 169.254.169.254}", "metadata"),
            ("- {name: kvm1, address: a, port: 99999}", "65535"),
            ("- {name: kvm1, address: a, credential: none}", "There is no credential none"),
            ("- {name: kvm1, address: a, credential: {kind: sasl}}", "credential.name: This field is required"),
            ("- {name: kvm1, address: a, credential: {kind: odd}}", "Give one of ssh_key, sasl, tls"),
            ("- {name: kvm1, address: a, credential: {name: x, kind: sasl, username: y}}", "Give the password"),
            ("- {name: kvm1, address: a, credential: {name: x, colour: y}}", "credential.colour: There is no such"),
            ("- {name: kvm1, address: a, credential: {name: x, kind: sasl, password_file: nofile}}", "cannot be read"),
            (
                "- {name: kvm1, address: a, credential: {name: x, kind: sasl, username: u, password: p}}",
                "does not open",
            ),
            ("- {name: kvm1, address: a, credential: {password: x, password_file: password}}", "given both"),
            ("- {name: kvm1, address: a, known_host_key: nonsense}", "not a public SSH key"),
            ("- {name: kvm1, address: a, tags: [a, [b]]}", "Write it in quotes"),
        ],
    )
    def test_yaml_that_is_not_right(self, tmp_path: Path, text: str, words: str) -> None:
        assert words in "\n".join(faults_of(tmp_path, text))

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "does not name the columns"),
            ("kvm1,10.0.0.1\n", "does not name the columns"),
            ("name,address\nkvm1\n", "line 2: 1 cells in a table with 2 columns"),
            ("name,address\nkvm1,a,b\n", "line 2: 3 cells"),
            ("name,name\nkvm1,a\n", "twice"),
            ('name,address\n"kvm1,a\n', "not CSV"),
            ("name,address\nkvm1,a\n\nkvm1,b\n", "line 4: name: The host of line 2"),
            ('name,address,description\nkvm1,a,"two\nlines"\nkvm2,/,x\n', "line 4: address"),
        ],
    )
    def test_tables_that_are_not_right(self, tmp_path: Path, text: str, words: str) -> None:
        assert words in "\n".join(faults_of(tmp_path, text, "hosts.csv"))

    def test_one_credential_cannot_have_two_contents(self, tmp_path: Path) -> None:
        rows = [
            {
                "name": f"kvm{number}",
                "transport": "tcp",
                "address": "a",
                "credential": {**SASL, "password": f"{number}"},
            }
            for number in (1, 2)
        ]
        assert "Another row gives sasl another content" in faults_of(tmp_path, yaml.safe_dump(rows))[0]

    def test_files_of_another_kind_are_refused(self, tmp_path: Path) -> None:
        assert "ends in neither .yaml nor .csv" in faults_of(tmp_path, YAML, "hosts.json")[0]
        (tmp_path / "latin.yaml").write_bytes(b"- {name: \xff}")
        with pytest.raises(FaultyFile, match="Nothing was imported"):
            read_file(tmp_path / "latin.yaml")
        with pytest.raises(FaultyFile, match="Nothing was imported"):
            read_file(tmp_path / "missing.yaml")

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
    @given(st.one_of(st.binary(max_size=200), st.text("-{}[]:,'\"\n #&*!|>aname", max_size=80).map(str.encode)))
    def test_whatever_stands_in_a_file_is_a_fault_or_an_import(self, tmp_path: Path, content: bytes) -> None:
        for name in ("hosts.yaml", "hosts.csv"):
            (tmp_path / name).write_bytes(content)
            try:
                import_hosts(user=None, entries=read_file(tmp_path / name), folder=tmp_path, dry_run=True)
            except FaultyFile as error:
                assert error.faults
        assert not Host.objects.exists()

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
    @given(
        st.fixed_dictionaries(
            {},
            optional={
                column: st.one_of(
                    st.none(), st.booleans(), st.integers(), st.text(max_size=12), st.lists(st.integers())
                )
                for column in COLUMNS
            },
        )
    )
    def test_whatever_stands_in_a_column_is_a_fault_or_an_import(self, entry: dict[str, Any]) -> None:
        try:
            import_hosts(user=None, entries=[{"name": "kvm1", "address": "kvm1", **entry}], dry_run=True)
        except FaultyFile as error:
            assert {fault.line for fault in error.faults} == {1}
        assert not Host.objects.exists()


class TestExporting:
    @pytest.fixture
    def fleet(self) -> None:
        host = HostFactory.create(
            name="kvm1",
            site=SiteFactory.create(name="Zürich"),
            transport="ssh",
            username="root",
            known_host_key=KEY,
            description='Rack "4", left',
            credential=CredentialFactory.create(
                name="key", kind="ssh_key", private_key=generate_ssh_key(), password=""
            ),
        )
        host.tags.add(TagFactory.create(name="web"), TagFactory.create(name="old"))
        HostFactory.create(name="kvm2", enabled=False, credential=CredentialFactory.create(name="sasl"))

    @pytest.mark.parametrize("kind", ["yaml", "csv"])
    def test_what_is_exported_can_be_imported_and_changes_nothing(self, tmp_path: Path, fleet: None, kind: str) -> None:
        out = io.StringIO()
        call_command("hosts", "export", format=kind, stdout=out)
        before = everything()
        assert bring(tmp_path, out.getvalue(), f"hosts.{kind}").unchanged == ["kvm1", "kvm2"]
        assert everything() == before

    @pytest.mark.parametrize("kind", ["yaml", "csv"])
    def test_secrets_are_not_exported(self, fleet: None, kind: str) -> None:
        out = io.StringIO()
        call_command("hosts", "export", format=kind, stdout=out)
        assert "PRIVATE KEY" not in out.getvalue()
        assert "sasl secret" not in out.getvalue()

    def test_the_table_has_every_column(self, fleet: None) -> None:
        out = io.StringIO()
        call_command("hosts", "export", format="csv", stdout=out)
        rows = list(csv.DictReader(io.StringIO(out.getvalue())))
        assert tuple(rows[0]) == COLUMNS
        assert (rows[0]["description"], rows[0]["tags"]) == ('Rack "4", left', "old web")


class TestCommand:
    def test_it_tells_what_it_did(self, tmp_path: Path) -> None:
        (tmp_path / "hosts.csv").write_text("name,transport,address\nkvm1,tcp,10.0.0.1\n")
        out = io.StringIO()
        call_command("hosts", "import", str(tmp_path / "hosts.csv"), dry_run=True, stdout=out)
        assert "would be added: kvm1" in out.getvalue()
        assert not Host.objects.exists()
        call_command("hosts", "import", str(tmp_path / "hosts.csv"), stdout=out)
        assert "\nadded: kvm1" in out.getvalue()

    def test_it_tells_every_fault_and_fails(self, tmp_path: Path) -> None:
        (tmp_path / "hosts.csv").write_text("name,address\nkvm1,/\nkvm2,\n")
        complaints = io.StringIO()
        with pytest.raises(CommandError, match="2 fault"):
            call_command("hosts", "import", str(tmp_path / "hosts.csv"), stderr=complaints)
        assert "hosts.csv, line 2: address: " in complaints.getvalue()
        assert "hosts.csv, line 3: address: " in complaints.getvalue()

"""Files of hosts: whatever stands in one is imported or refused, and what is refused changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from hosts.portation.columns import COLUMNS, CREDENTIAL_COLUMNS
from hosts.portation.importing import import_hosts
from hosts.portation.reading import FaultyFile, read_file
from tests.factories import CredentialFactory, HostFactory
from tests.fuzz.hostile import attempts, seen, texts

pytestmark = pytest.mark.django_db

_values = st.one_of(texts, st.none(), st.booleans(), st.integers(), st.lists(texts, max_size=3))
_good = {"name": "kvm9", "address": "kvm9.example.org", "driver": "qemu", "transport": "tcp"}
_hosts = st.builds(
    lambda changed, credential: {**_good, **changed, **({"credential": credential} if credential else {})},
    st.dictionaries(st.sampled_from([*COLUMNS, "nothing"]), _values, max_size=3),
    st.one_of(st.none(), st.dictionaries(st.sampled_from(CREDENTIAL_COLUMNS), _values, max_size=4)),
)
_files = st.lists(_hosts, max_size=3).map(lambda hosts: yaml.safe_dump([{"name": "kvm1", "tags": ["new"]}, *hosts]))


@attempts(60)
@given(_files)
def test_any_file(tmp_path: Path, text: str) -> None:
    """The first host of each is there, and would be changed."""
    with transaction.atomic():
        HostFactory.create(name="kvm1", credential=CredentialFactory.create())
        before, file = seen(), tmp_path / "hosts.yaml"
        file.write_text(text)
        try:
            import_hosts(user=None, entries=read_file(file), folder=tmp_path)
        except FaultyFile as error:
            assert error.faults
            assert seen() == before
        else:
            assert seen() != before
        transaction.set_rollback(True)

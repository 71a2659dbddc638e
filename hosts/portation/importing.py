"""Importing hosts: everything is checked first, and nothing is changed unless all of it is right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django import forms
from django.db import transaction

from hosts import services
from hosts.credential_forms import CREDENTIAL_KINDS, CredentialForm
from hosts.entry import initial_values
from hosts.forms import HostForm
from hosts.inputs import CredentialData, HostData
from hosts.keys import clean_certificate, clean_host_key
from hosts.models import Credential, Driver, Host, Transport
from hosts.portation.reading import Entry, Fault, FaultyFile, Row, rows_of
from vmdash.access.models import User
from vmdash.exceptions import InvalidInput, VmdashError

_YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(slots=True)
class Imported:
    """The names of the hosts, by what became of them."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Plan:
    host: Host | None
    """The one of that name, if there is one."""
    data: HostData
    credential: str
    """Its name, or empty."""
    enabled: bool
    host_key: str
    certificate: str


@transaction.atomic
def import_hosts(
    *,
    user: User | None,
    entries: Iterable[Mapping[str, Any] | Entry],
    folder: Path = Path(),
    dry_run: bool = False,
) -> Imported:
    """Add the hosts that are not there yet and change those that are, by name. Doing it again changes nothing.

    `entries` are what `read_file` returns, or plain mappings with the same columns, numbered from 1 in messages. Files
    they name are looked for in `folder`. Columns that an entry does not have keep their value. `dry_run`: check and
    tell, but change nothing.

    Raises:
        FaultyFile: with the faults of all entries.
    """
    numbered = [
        entry if isinstance(entry, Entry) else Entry(number, entry) for number, entry in enumerate(entries, start=1)
    ]
    checking = _Checking(rows_of(numbered, folder))
    plans = checking.plans()
    if checking.faults:
        raise FaultyFile(checking.faults)
    for data in checking.credentials.values():
        _store(user, data)
    imported = Imported()
    for plan in plans:
        _carry_out(user, plan, imported)
    transaction.set_rollback(dry_run)
    return imported


class _Checking:
    """One look at all rows, which gathers what is wrong with any of them."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.faults: list[Fault] = []
        self.hosts = {host.name: host for host in Host.objects.select_related("site", "credential")}
        self.kinds = dict(Credential.objects.values_list("name", "kind"))
        self.credentials: dict[str, CredentialData] = {}
        """Those that stand in the file, by name."""

    def plans(self) -> list[_Plan]:
        for row in self.rows:
            if row.credential:
                self._take_credential(row)
        self._refuse_doubles()
        return [plan for row in self.rows if (plan := self._plan(row))]

    def _refuse_doubles(self) -> None:
        lines: dict[str, int] = {}
        for row in self.rows:
            name = row.values.get("name", "").strip().lower()
            first = lines.setdefault(name, row.line)
            if name and first != row.line:
                self._fault(row, "name", f"The host of line {first} has the same name.")

    def _take_credential(self, row: Row) -> None:
        given = row.credential
        kind = given.get("kind", "")
        if kind not in Credential.Kind.values:
            self._fault(row, "credential.kind", f"Give one of {', '.join(Credential.Kind.values)}.")
            return
        stored = Credential.objects.filter(name=given.get("name", "").strip()).first()
        form = CredentialForm(given, kind=kind, credential=stored)
        if not form.is_valid():
            self._form_faults(row, form, "credential.")
            return
        data = form.data_of()
        if self.credentials.setdefault(data.name, data) != data:
            self._fault(row, "credential.name", f"Another row gives {data.name} another content.")
        self.kinds[data.name] = kind
        row.values["credential"] = data.name

    def _plan(self, row: Row) -> _Plan | None:
        host = self.hosts.get(row.values.get("name", "").strip())
        before = initial_values(host) if host else {"driver": Driver.QEMU, "transport": Transport.SSH}
        form = HostForm({**before, **row.values}, host=host)
        if not form.is_valid():
            self._form_faults(row, form)
            return None
        credential = row.values.get("credential", host.credential.name if host and host.credential else "").strip()
        self._check_credential(row, form.cleaned_data["transport"], credential)
        return _Plan(
            host=host,
            data=form.data_of(),
            credential=credential,
            enabled=self._enabled(row, host),
            host_key=self._trusted(row, "known_host_key", clean_host_key),
            certificate=self._trusted(row, "known_certificate", clean_certificate),
        )

    def _check_credential(self, row: Row, transport: str, name: str) -> None:
        if not name:
            return
        wanted = CREDENTIAL_KINDS.get(Transport(transport))
        if name not in self.kinds:
            self._fault(row, "credential", f"There is no credential {name}, neither here nor in the file.")
        elif self.kinds[name] != wanted:
            kind = Credential.Kind(self.kinds[name]).label
            self._fault(row, "credential", f"{name} is of the kind {kind}, which does not open {transport}.")

    def _enabled(self, row: Row, host: Host | None) -> bool:
        text = row.values.get("enabled", "").strip().lower()
        if text and text not in _YES_NO:
            self._fault(row, "enabled", "Write yes or no.")
        return _YES_NO.get(text, host.enabled if host else True)

    def _trusted(self, row: Row, column: str, clean: Any) -> str:
        try:
            return clean(row.values[column]) if row.values.get(column) else ""
        except InvalidInput as error:
            self._fault(row, column, str(error))
            return ""

    def _form_faults(self, row: Row, form: forms.Form, prefix: str = "") -> None:
        for column, messages in form.errors.items():
            for message in messages:
                self._fault(row, "" if column == "__all__" else prefix + column, str(message))

    def _fault(self, row: Row, column: str, message: str) -> None:
        self.faults.append(Fault(row.line, column, message))


def _store(user: User | None, data: CredentialData) -> None:
    stored = Credential.objects.filter(name=data.name).first()
    if stored is None:
        services.add_credential(user=user, data=data)
    elif services.credential_data_of(stored) != data:
        services.change_credential(user=user, credential=stored, data=data)


def _carry_out(user: User | None, plan: _Plan, imported: Imported) -> None:
    credential = Credential.objects.get(name=plan.credential) if plan.credential else None
    try:
        if plan.host is None:
            host = services.add_host(user=user, data=plan.data, credential=credential)
            _settle(user, host, plan)
            imported.added.append(host.name)
            return
        same = services.host_data_of(plan.host) == plan.data and plan.host.credential == credential
        if not same:
            services.change_host(user=user, host=plan.host, data=plan.data, credential=credential)
        settled = _settle(user, plan.host, plan)
        (imported.unchanged if same and settled else imported.changed).append(plan.host.name)
    except VmdashError as error:
        raise FaultyFile([Fault(0, plan.data.name, str(error))]) from error


def _settle(user: User | None, host: Host, plan: _Plan) -> bool:
    """Whether identity and switch were as the row wants them."""
    as_wanted = True
    if (plan.host_key and plan.host_key != host.known_host_key) or (
        plan.certificate and plan.certificate != host.known_certificate
    ):
        services.trust_server(user=user, host=host, host_key=plan.host_key, certificate=plan.certificate)
        as_wanted = False
    if host.enabled != plan.enabled:
        services.set_enabled(user=user, host=host, enabled=plan.enabled, detail="By the import")
        as_wanted = False
    return as_wanted

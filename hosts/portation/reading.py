"""Reading a file of hosts: its rows as text, each with its line. What they mean is `importing`'s business."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from hosts.portation.columns import COLUMNS, CREDENTIAL_COLUMNS, FROM_FILES
from vmdash.exceptions import InvalidInput

LARGEST_FILE_BYTES = 5 * 1024 * 1024
LARGEST_SECRET_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """What is wrong with one row; `column` is empty for the row as a whole."""

    line: int
    column: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.column + ': ' if self.column else ''}{self.message}"


class FaultyFile(InvalidInput):
    """The file cannot be imported. Nothing was changed."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("Nothing was imported.", detail="\n".join(str(fault) for fault in sorted(faults)))
        self.faults = sorted(faults)


class Entry(NamedTuple):
    """One host as it stands in the file: columns by name, as YAML or CSV give them."""

    line: int
    values: Mapping[Any, Any]


@dataclass(slots=True)
class Row:
    """One host of the file. `values` are texts by column; `credential` those of a credential that stands within."""

    line: int
    values: dict[str, str] = field(default_factory=dict)
    credential: dict[str, str] = field(default_factory=dict)


def read_file(path: Path) -> list[Entry]:
    """The hosts in a `.yaml`, `.yml` or `.csv` file.

    Raises:
        FaultyFile: it cannot be read as such.
    """
    readers: dict[str, Callable[[str], Iterator[Entry]]] = {
        ".yaml": _read_yaml,
        ".yml": _read_yaml,
        ".csv": _read_csv,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise FaultyFile([Fault(0, "", f"{path.name} ends in neither .yaml nor .csv.")])
    return list(reader(_text(path)))


def rows_of(entries: Iterable[Entry], folder: Path) -> list[Row]:
    """The entries as rows of text. Files that they name are looked for in `folder`.

    Raises:
        FaultyFile: with every fault that shows without looking at the database.
    """
    faults: list[Fault] = []
    rows = [_row(entry, folder, faults) for entry in entries]
    if faults:
        raise FaultyFile(faults)
    return rows


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if len(content) > LARGEST_FILE_BYTES:
            raise FaultyFile([Fault(0, "", f"{path} is larger than {LARGEST_FILE_BYTES // 2**20} MiB.")])
        return content.decode("utf-8-sig")
    except OSError as error:
        raise FaultyFile([Fault(0, "", f"{path} cannot be read: {error.strerror}.")]) from error
    except UnicodeDecodeError as error:
        raise FaultyFile([Fault(0, "", f"{path} is not text in UTF-8.")]) from error


def _read_yaml(text: str) -> Iterator[Entry]:
    try:
        loader = yaml.SafeLoader(text)
        document = loader.get_single_node()
        if not isinstance(document, yaml.SequenceNode):
            raise FaultyFile([Fault(1, "", 'The file is not a list of hosts. Each begins with "- name: …".')])
        for item in document.value:
            line = item.start_mark.line + 1
            if not isinstance(item, yaml.MappingNode):
                raise FaultyFile([Fault(line, "", 'This is not a host. Each begins with "- name: …".')])
            _refuse_doubles(item)
            yield Entry(line, loader.construct_mapping(item, deep=True))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise FaultyFile([Fault(mark.line + 1 if mark else 1, "", f"This is not YAML: {problem}.")]) from error
    except (ValueError, RecursionError, OverflowError) as error:  # dates such as 2024-99-99, nesting without end
        raise FaultyFile([Fault(1, "", f"This is not YAML: {error}.")]) from error


def _refuse_doubles(mapping: yaml.MappingNode) -> None:
    """YAML would silently take the last one."""
    seen = set()
    for key, value in mapping.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise FaultyFile([Fault(line, "", "The name of a column is one word.")])
        if key.value in seen:
            raise FaultyFile([Fault(line, key.value, "This stands here twice.")])
        seen.add(key.value)
        if isinstance(value, yaml.MappingNode):
            _refuse_doubles(value)


def _read_csv(text: str) -> Iterator[Entry]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
        if "name" not in header:
            raise FaultyFile([Fault(1, "", "The first line does not name the columns; one of them is name.")])
        for name in header:
            if header.count(name) > 1:
                raise FaultyFile([Fault(1, name, "This column stands here twice.")])
        line = rows.line_num + 1
        for cells in rows:
            if cells and len(cells) != len(header):
                raise FaultyFile([Fault(line, "", f"{len(cells)} cells in a table with {len(header)} columns.")])
            if cells:
                yield Entry(line, _nested(dict(zip(header, cells, strict=True))))
            line = rows.line_num + 1
    except csv.Error as error:
        raise FaultyFile([Fault(rows.line_num, "", f"This is not CSV: {error}.")]) from error


def _nested(cells: dict[str, str]) -> dict[str, Any]:
    """Columns such as `credential_kind` become what YAML writes below `credential`."""
    inner = {name.removeprefix("credential_"): cell for name, cell in cells.items() if name.startswith("credential_")}
    outer: dict[str, Any] = {name: cell for name, cell in cells.items() if not name.startswith("credential_")}
    if any(inner.values()):
        outer["credential"] = {"name": outer.get("credential", ""), **inner}
    return outer


def _row(entry: Entry, folder: Path, faults: list[Fault]) -> Row:
    line = entry.line
    row = Row(line)
    outer = dict(entry.values)
    credential = outer.get("credential")
    if isinstance(credential, dict):
        del outer["credential"]
        row.credential = _texts(line, credential, CREDENTIAL_COLUMNS, "credential.", folder, faults)
    row.values = _texts(line, outer, COLUMNS, "", folder, faults)
    return row


def _texts(
    line: int, values: Mapping[Any, Any], known: tuple[str, ...], prefix: str, folder: Path, faults: list[Fault]
) -> dict[str, str]:
    """The values as texts, those of `…_file` read. Whatever is wrong is added to `faults`."""
    texts: dict[str, str] = {}
    for name, value in values.items():
        column, from_file = str(name), False
        if column.endswith("_file") and column.removesuffix("_file") in FROM_FILES:
            column, from_file = column.removesuffix("_file"), True
        try:
            if column not in known:
                raise InvalidInput(f"There is no such column. Known are: {', '.join(known)}.")
            if column in texts:
                raise InvalidInput(f"It is given both here and as {column}_file.")
            text = _as_text(column, value)
            texts[column] = _read_secret(folder / text) if from_file and text else text
        except InvalidInput as error:
            faults.append(Fault(line, prefix + str(name), str(error)))
    return texts


def _as_text(column: str, value: Any) -> str:
    if value is None:
        return ""
    if column == "tags" and isinstance(value, list) and all(isinstance(tag, str) for tag in value):
        return " ".join(value)
    if column == "enabled" and isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidInput("This is not a text. Write it in quotes.")
    return str(value)


def _read_secret(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_SECRET_BYTES + 1)
        if len(content) > LARGEST_SECRET_BYTES:
            raise InvalidInput(f"{path} is too large for a key or password.")
        return content.decode().strip()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, ValueError) as error:
        raise InvalidInput(f"{path} is not a readable text file.") from error

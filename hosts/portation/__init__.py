"""Hosts in and out in bulk: `manage.py hosts import FILE` and `export`, in YAML or CSV.

A file is a list of hosts. Their columns are `columns.COLUMNS`; `credential` is the name of a stored credential, or
holds a new one (in CSV: columns such as `credential_kind`). Everything secret may be given as a file: `password_file`.
"""

from hosts.portation.exporting import export_csv, export_yaml
from hosts.portation.importing import Imported, import_hosts
from hosts.portation.reading import Fault, FaultyFile, read_file

__all__ = ["Fault", "FaultyFile", "Imported", "export_csv", "export_yaml", "import_hosts", "read_file"]

"""Backup and restore of vmdash itself: `manage.py backup FILE`, `manage.py restore FILE`.

`archive` the file; `databases` what SQLite and PostgreSQL do; `keys` which keys stored secrets need; `making` and
`restoring` the two commands.
"""

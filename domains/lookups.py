"""Database lookups that Django does not have."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, Lookup
from django.db.models.sql.compiler import SQLCompiler

_LIKE = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_", "*": "%"})


@CharField.register_lookup
class Glob(Lookup):
    """`name__glob="web-*"`: the whole text, in any case, where `*` stands for anything.

    LIKE and not a regular expression: its cost stays small whatever pattern somebody types.
    """

    lookup_name = "glob"

    def get_prep_lookup(self) -> str:
        return str(self.rhs).translate(_LIKE)

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        return self._sql(compiler, connection, r"{} LIKE {} ESCAPE '\'")

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        return self._sql(compiler, connection, "{}::text ILIKE {}")

    def _sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, form: str) -> tuple[str, list[Any]]:
        lhs, lhs_params = self.process_lhs(compiler, connection)
        rhs, rhs_params = self.process_rhs(compiler, connection)
        return form.format(lhs, rhs), [*lhs_params, *rhs_params]

"""What columns are made of where SQLite and PostgreSQL differ."""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Integer
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

WHOLE = BigInteger().with_variant(Integer, "sqlite")
"""A whole number of up to 63 bits in either engine."""


class _Empty(ColumnElement[bytes]):
    """Bytes of which there are none, as each engine writes them."""

    inherit_cache = True


@compiles(_Empty)
def _empty(element: _Empty, compiler: SQLCompiler, **options: Any) -> str:
    del element, options
    return "''::bytea" if compiler.dialect.name == "postgresql" else "x''"


EMPTY = _Empty()
"""The default of a column of bytes that is never NULL."""

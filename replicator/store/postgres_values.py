"""What PostgreSQL is sent: a statement, and parameters that mean there what they mean in SQLite."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from replicator.store.prepared import Value

if TYPE_CHECKING:
    import psycopg


def run_one(raw: "psycopg.Connection[Any]", *, sql: str, values: Mapping[str, Value] | None) -> "psycopg.Cursor[Any]":
    """Run one statement on the driver's own connection."""
    return raw.execute(sql, values)


def sendable(values: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the parameters as the server takes them. Raises ValueError for what no column may hold."""
    return {name: _checked(one) for name, one in values.items()}


def _checked(value: Value) -> Value:
    # Text of PostgreSQL holds no NUL, which a message of somebody else's may have; and a time that is none would be
    # kept, which SQLite refuses as NULL.
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, float) and math.isnan(value):
        raise ValueError("a time is not a number")
    return value

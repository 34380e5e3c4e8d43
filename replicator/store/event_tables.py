"""The table of events that were taken in; beside those of tag_tables.py. `metadata` has all."""

from sqlalchemy import Column, LargeBinary, Table, Text

from replicator.store.columns import WHOLE
from replicator.store.tag_tables import metadata

__all__ = ["event", "metadata"]

event = Table(
    "event",
    metadata,
    Column("id", WHOLE, primary_key=True),
    Column("repository", Text, nullable=False),
    Column("reference", LargeBinary, nullable=False),
    Column("told", LargeBinary, nullable=False),
)
"""The newest events (event_rows.py). No index: one more would cost each acknowledgement more than it saves a reader.

Names stand in full, so that an event that no rule wants leaves no row in `repository`.
"""

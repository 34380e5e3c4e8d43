"""The tables about what tags of replicas named, and which of them are to be deleted; beside those of tables.py.

`metadata` has both.
"""

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Table,
    Text,
    literal_column,
    text,
)

from replicator.store.columns import WHOLE
from replicator.store.tables import metadata

__all__ = ["deletion", "metadata", "tag_history"]

tag_history = Table(
    "tag_history",
    metadata,
    Column("id", WHOLE, primary_key=True),
    Column("replica", Text, nullable=False),
    Column("repository_id", WHOLE, ForeignKey("repository.id"), nullable=False),
    Column("reference", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("what", Text, nullable=False),
    Column("at", Float, nullable=False),
)
"""What tags were made to name (tag_history.py), bounded."""
Index(
    "tag_history_tag",
    tag_history.c.replica,
    tag_history.c.repository_id,
    tag_history.c.reference,
    tag_history.c.id,
)

Index(
    "tag_history_deleted",
    tag_history.c.replica,
    tag_history.c.at,
    sqlite_where=tag_history.c.what == literal_column("'deleted'"),
    postgresql_where=tag_history.c.what == literal_column("'deleted'"),
)
"""Finds how many were deleted lately."""

deletion = Table(
    "deletion",
    metadata,
    Column("replica", Text, primary_key=True),
    Column("repository_id", WHOLE, primary_key=True),
    Column("reference", LargeBinary, primary_key=True),
    Column("found_at", Float, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("approved", WHOLE, nullable=False, server_default=text("0")),
    Column("left", Text),
    ForeignKeyConstraint(
        ["replica", "repository_id", "reference"],
        ["intent.replica", "intent.repository_id", "intent.reference"],
        ondelete="CASCADE",
    ),
    sqlite_with_rowid=False,
)
"""What the primary lost and the replica may lose too (deletions.py); `left` is why it stays all the same."""

"""Tags that are to be deleted, which of them we put, and lanes whose deletes wait for an operator."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make the table and the columns; what an earlier version put is not known to be ours."""
    op.create_table(
        "deletion",
        sa.Column("replica", sa.Text, primary_key=True),
        sa.Column("repository_id", sa.Integer, primary_key=True),
        sa.Column("reference", sa.LargeBinary, primary_key=True),
        sa.Column("found_at", sa.Float, nullable=False),
        sa.Column("due_at", sa.Float, nullable=False),
        sa.Column("approved", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("left", sa.Text),
        sa.ForeignKeyConstraint(
            ["replica", "repository_id", "reference"],
            ["intent.replica", "intent.repository_id", "intent.reference"],
            ondelete="CASCADE",
        ),
        sqlite_with_rowid=False,
    )
    op.add_column("intent", sa.Column("put", sa.Integer))
    op.add_column("lane", sa.Column("deletes_stopped_since", sa.Float))
    only = sa.text("what = 'deleted'")
    op.create_index("tag_history_deleted", "tag_history", ["replica", "at"], sqlite_where=only, postgresql_where=only)

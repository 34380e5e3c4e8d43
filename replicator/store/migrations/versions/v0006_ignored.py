"""What a replica lacks by an operator's decision."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table of what is ignored."""
    op.create_table(
        "ignored",
        sa.Column("replica", sa.Text, primary_key=True),
        sa.Column("repository_id", sa.Integer, primary_key=True),
        sa.Column("reference", sa.LargeBinary, primary_key=True),
        sa.Column("digest", sa.LargeBinary),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("ignored_at", sa.Float, nullable=False),
        sa.Column("backfill", sa.Integer),
        sa.ForeignKeyConstraint(
            ["replica", "repository_id", "reference"],
            ["intent.replica", "intent.repository_id", "intent.reference"],
            ondelete="CASCADE",
        ),
        sqlite_with_rowid=False,
    )

"""Uploads that were begun, so that they go on where they stopped."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table of uploads."""
    op.create_table(
        "upload",
        sa.Column("replica", sa.Text, primary_key=True),
        sa.Column("repository_id", sa.Integer, sa.ForeignKey("repository.id"), primary_key=True),
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("upload_expires", "upload", ["expires_at"])

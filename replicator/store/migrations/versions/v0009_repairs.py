"""What audits found to be wrong on replicas, until it is mended."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the table of repairs."""
    op.create_table(
        "repair",
        sa.Column("replica", sa.Text, primary_key=True),
        sa.Column("repository_id", sa.Integer, sa.ForeignKey("repository.id"), primary_key=True),
        sa.Column("reference", sa.LargeBinary, primary_key=True),
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("generation", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )

"""What tags of replicas were made to name: before a put that must be known as ours, and when one is deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "tag_history",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("replica", sa.Text, nullable=False),
        sa.Column("repository_id", sa.Integer, sa.ForeignKey("repository.id"), nullable=False),
        sa.Column("reference", sa.LargeBinary, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_index("tag_history_tag", "tag_history", ["replica", "repository_id", "reference", "id"])

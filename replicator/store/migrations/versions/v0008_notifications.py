"""Messages that wait for their receivers, and which rows a receiver was told of that they are parked."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the table of messages and mark in intents what was told."""
    op.create_table(
        "notification",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("receiver", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("happening", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("due_at", sa.Float, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sqlite_autoincrement=True,
    )
    op.create_index("notification_due", "notification", ["receiver", "due_at"])
    op.add_column("intent", sa.Column("told", sa.Integer))

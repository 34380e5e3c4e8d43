"""How far continuous verification of each replica is."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the table of places."""
    op.create_table(
        "verification",
        sa.Column("replica", sa.Text, primary_key=True),
        sa.Column("repository_id", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("reference", sa.LargeBinary, nullable=False, server_default=sa.text("x''")),
        sa.Column("whole_repository_id", sa.Integer),
        sa.Column("whole_reference", sa.LargeBinary),
    )

"""What operators decide about a lane, so that it survives a restart."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table of lanes."""
    op.create_table(
        "lane",
        sa.Column("replica", sa.Text, primary_key=True),
        sa.Column("paused_since", sa.Float),
    )

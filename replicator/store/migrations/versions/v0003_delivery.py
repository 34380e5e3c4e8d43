"""What told of a change, so that log lines of its way to a replica can be found by one id."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the id of the delivery to intents."""
    op.add_column("intent", sa.Column("delivery", sa.LargeBinary))

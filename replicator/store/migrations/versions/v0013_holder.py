"""Which life of a daemon works with a store that several can reach."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the name."""
    op.add_column("state", sa.Column("holder", sa.Text))

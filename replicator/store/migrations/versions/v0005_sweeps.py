"""Where sweeps stand, and which owed rows are backfill: what fills a replica and is no lag."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table of sweeps and mark backfill in intents."""
    op.create_table(
        "sweep",
        sa.Column("repository_id", sa.Integer, sa.ForeignKey("repository.id"), primary_key=True),
        sa.Column("found_at", sa.Float, nullable=False),
        sa.Column("changed_at", sa.Float),
        sa.Column("swept_at", sa.Float),
        sa.Column("next_at", sa.Float, nullable=False),
        sa.Column("full_at", sa.Float),
        sa.Column("full_next_at", sa.Float, nullable=False),
        sa.Column("full_began_at", sa.Float),
        sa.Column("progress", sa.Text),
        sa.Column("scope", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("gone", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("failures", sa.Integer, nullable=False, server_default=sa.text("0")),
    )
    op.create_index("sweep_next", "sweep", ["next_at"])
    op.add_column("intent", sa.Column("backfill", sa.Integer))
    op.drop_index("intent_owed", "intent")
    op.drop_index("intent_on_time", "intent")
    owed = "dirty_since IS NOT NULL"
    late = owed + " AND deadline_missed = 0 AND backfill IS NULL"
    _make_index("intent_owed", ["replica", "priority", "due_at", "dirty_since", "backfill"], owed)
    _make_index("intent_on_time", ["dirty_since", "replica"], late)


def _make_index(name: str, columns: list[str], only: str) -> None:
    op.create_index(name, "intent", columns, sqlite_where=sa.text(only), postgresql_where=sa.text(only))

"""Intents, blob locations and the delivery log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    _make_names()
    _make_intent()
    _make_hints()
    op.create_table(
        "state",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("heartbeat_at", sa.Float, nullable=False),
    )
    op.execute("INSERT INTO state (id, epoch, heartbeat_at) VALUES (1, 0, 0)")


def _make_names() -> None:
    op.create_table(
        "repository",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.UniqueConstraint("name", name="repository_name"),
    )
    op.create_table(
        "policy",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.UniqueConstraint("fingerprint", name="policy_fingerprint"),
    )


def _make_intent() -> None:
    zero = sa.text("0")
    op.create_table(
        "intent",
        sa.Column("replica", sa.Text, primary_key=True),
        sa.Column("repository_id", sa.Integer, sa.ForeignKey("repository.id"), primary_key=True),
        sa.Column("reference", sa.LargeBinary, primary_key=True),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("observed_generation", sa.Integer, nullable=False, server_default=zero),
        sa.Column("want_digest", sa.LargeBinary),
        sa.Column("have_digest", sa.LargeBinary),
        sa.Column("dirty_since", sa.Float),
        sa.Column("next_dirty_since", sa.Float),
        sa.Column("due_at", sa.Float),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=zero),
        sa.Column("failing_since", sa.Float),
        sa.Column("reason", sa.Text),
        sa.Column("message", sa.Text),
        sa.Column("parked", sa.Integer, nullable=False, server_default=zero),
        sa.Column("deadline_missed", sa.Integer, nullable=False, server_default=zero),
        sa.Column("verify_at", sa.Float),
        sa.Column("doubt_at", sa.Float),
        sa.Column("looks", sa.Integer, nullable=False, server_default=zero),
        sa.Column("policy_id", sa.Integer, sa.ForeignKey("policy.id"), nullable=False),
        sa.Column("lease_owner", sa.Text),
        sa.Column("lease_epoch", sa.Integer, nullable=False, server_default=zero),
        sa.Column("lease_until", sa.Float, nullable=False, server_default=zero),
        sa.CheckConstraint(
            "(generation > observed_generation) = (dirty_since IS NOT NULL)", name="intent_owed_since"
        ),
        sa.CheckConstraint("(due_at IS NOT NULL) = (dirty_since IS NOT NULL)", name="intent_owed_due"),
        sa.CheckConstraint("verify_at IS NULL OR dirty_since IS NULL", name="intent_look_clean"),
        sqlite_with_rowid=False,
    )
    owed = "dirty_since IS NOT NULL"
    failing = owed + " AND reason IS NOT NULL"
    _make_index("intent_owed", ["replica", "priority", "due_at", "dirty_since"], owed)
    _make_index("intent_failing", ["replica", "priority", "due_at", "parked", "reason", "dirty_since"], failing)
    _make_index("intent_on_time", ["dirty_since", "replica"], owed + " AND deadline_missed = 0")
    _make_index("intent_look", ["replica", "priority", "verify_at"], "verify_at IS NOT NULL")


def _make_index(name: str, columns: list[str], only: str) -> None:
    op.create_index(name, "intent", columns, sqlite_where=sa.text(only), postgresql_where=sa.text(only))


def _make_hints() -> None:
    op.create_table(
        "blob_location",
        sa.Column("replica", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("repository_id", sa.Integer, sa.ForeignKey("repository.id"), primary_key=True),
        sa.Column("seen_at", sa.Float, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("blob_location_repository", "blob_location", ["replica", "repository_id"])
    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("received_at", sa.Float, nullable=False),
    )

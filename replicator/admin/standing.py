"""Where a row stands, in words for people."""

from replicator.model import shown
from replicator.store.rows import Row


def describe(row: Row) -> str:
    """Return in a few words where a row stands, for people."""
    if row.ignored_at is not None:
        return "ignored by decision: replicator ignore --undo makes it owed again"
    if not row.owed:
        return f"clean with {row.have}" if row.have else "clean, and gone from the primary"
    if row.reason is None:
        return "owed"
    state = "parked" if row.parked else "failing"
    return f"{state}: {row.reason}: {shown(row.message, 300)}"

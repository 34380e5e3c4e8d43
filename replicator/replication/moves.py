"""What a row that changed during its copy says of that copy. Pure."""

from replicator.model import Digest, Lease
from replicator.store.rows import Row


def is_left_out(row: Row | None) -> bool:
    """Say whether somebody decided meanwhile that the replica need not have it."""
    return row is not None and row.ignored_at is not None


def has_moved(row: Row | None, lease: Lease, copying: Digest) -> bool:
    """Say whether the reference names something else than what is copied, as a change said after the lease."""
    return row is not None and row.want not in {None, copying} and row.generation != lease.generation

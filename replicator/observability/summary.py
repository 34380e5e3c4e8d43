"""What metrics are told by the store of all that is owed."""

from collections.abc import Mapping
from typing import Protocol

from replicator.errors import Reason


class DeleteSummary(Protocol):
    """What the store says of one replica's deletes."""

    @property
    def pending(self) -> int:
        """Tags that are to be deleted."""
        ...

    @property
    def left(self) -> Mapping[str, int]:
        """Tags that stay all the same, by why."""
        ...

    @property
    def stopped_since(self) -> float | None:
        """Unix seconds since when its deletes are stopped."""
        ...


class ReplicaSummary(Protocol):
    """What the store says of one replica: `since` is when its oldest owed change happened, None when clean."""

    @property
    def owed(self) -> int:
        """Updates that are owed, parked and failing ones included."""
        ...

    @property
    def parked(self) -> int:
        """Owed updates that are tried about hourly."""
        ...

    @property
    def ignored(self) -> int:
        """References that it lacks by decision."""
        ...

    @property
    def deletes(self) -> DeleteSummary:
        """How it stands with what is to be deleted."""
        ...

    @property
    def failing(self) -> Mapping[Reason, int]:
        """Owed updates whose last attempt failed, by reason."""
        ...

    @property
    def since(self) -> float | None:
        """Unix seconds of the oldest owed change."""
        ...


class Summary(Protocol):
    """One reading of the store, taken at `read_at` (Unix seconds)."""

    @property
    def read_at(self) -> float:
        """When the store was read."""
        ...

    @property
    def replicas(self) -> Mapping[str, ReplicaSummary]:
        """What each replica is owed; one that is missing is owed nothing."""
        ...

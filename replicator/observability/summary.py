"""What metrics are told by the store of all that is owed."""

from collections.abc import Mapping
from typing import Protocol

from replicator.errors import Reason


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

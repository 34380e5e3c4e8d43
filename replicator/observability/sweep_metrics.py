"""What sweeps count; part of the daemon's metrics (metrics.py)."""

from collections.abc import Iterable
from contextlib import suppress

from replicator.errors import Reason
from replicator.observability.labels import DifferenceKind, SweepRequest
from replicator.observability.sweep_families import SweepFamilies


class SweepMetrics:
    """The metrics of sweeps under one configuration; `full_interval` is 0 where they are off."""

    def __init__(
        self, families: SweepFamilies, *, replicas: Iterable[str], source: str, full_interval: float
    ) -> None:
        self._families = families
        self._source = source
        # Made ahead, so that every series exists from the start and no other ever can.
        self._differences = {
            (replica, kind): families.differences.labels(replica, kind)
            for replica in replicas
            for kind in DifferenceKind
        }
        self._requests = {one: families.requests.labels(one) for one in SweepRequest}
        self._failures = {one: families.failures.labels(one) for one in Reason}
        families.full_interval.set(full_interval)
        if not full_interval:
            for family in (families.verified, families.listed, families.repositories):
                with suppress(KeyError):
                    family.remove(source)

    def difference_found(self, replica: str, kind: str, count: int = 1) -> None:
        """Count differences (a DifferenceKind)."""
        self._differences[replica, DifferenceKind(kind)].inc(count)

    def sweep_requested(self, operation: str) -> None:
        """Count a request (a SweepRequest)."""
        self._requests[SweepRequest(operation)].inc()

    def comparison_failed(self, reason: str) -> None:
        """Count a comparison that could not be done, for a Reason."""
        self._failures[Reason(reason)].inc()

    def compared(self, repositories: int, tags_at: float | None, digests_at: float | None) -> None:
        """Say how many repositories there are, and until when their tags and digests were compared (Unix seconds)."""
        self._families.repositories.labels(self._source).set(repositories)
        if tags_at is not None:
            self._families.listed.labels(self._source).set(tags_at)
        if digests_at is not None:
            self._families.verified.labels(self._source).set(digests_at)

    def sweep_took(self, seconds: float) -> None:
        """Say how long it took until nothing was due any more."""
        self._families.duration.set(seconds)

"""Which leases a lane takes next: what is urgent first, and now and then whoever waits longest."""

from collections import Counter
from collections.abc import Mapping

from replicator.model import IntentKey, Lease, Priority
from replicator.replication.lane_kit import LaneKit
from replicator.replication.renewal import LEASE_SECONDS
from replicator.replication.worker import Job
from replicator.retry import Breaker
from replicator.shares import room

PROBE_SECONDS = 20.0
"""After so long a probe of which the replica took bytes keeps the next one back no longer."""
_URGENT_IN_A_ROW = 3  # leases by urgency between two by waiting time


class NextLeases:
    """Leases for one lane, of which `jobs` are under way. What the store raises, StoreError, goes through."""

    def __init__(self, kit: LaneKit, jobs: Mapping[IntentKey, Job]) -> None:
        self._kit = kit
        self._jobs = jobs
        self._since_longest_due = 0
        self._taken_at = 0.0
        self._no_probes: frozenset[tuple[IntentKey, int]] = frozenset()

    def opened(self) -> None:
        """Take what is under way for no probe: it was begun before the lane opened, and may take hours."""
        self._no_probes = frozenset((key, job.lease.epoch) for key, job in self._jobs.items())

    @property
    def probes(self) -> int:
        """How many jobs, begun since the lane opened last, are to show whether the replica is back.

        One of a large image may take hours: where bytes of it go out, another may tell sooner.
        """
        late = self._kit.clock.monotonic() >= self._taken_at + PROBE_SECONDS
        begun = [job for key, job in self._jobs.items() if (key, job.lease.epoch) not in self._no_probes]
        return sum(not (late and job.tally.sent) for job in begun)

    def limit(self, breaker: Breaker) -> int:
        """Return how many may be leased now."""
        probes, workers = self.probes if breaker.tripped else len(self._jobs), self._kit.workers
        return min(breaker.room(self._kit.clock.monotonic(), probes, workers), workers - len(self._jobs))

    async def take(self, limit: int) -> tuple[Lease, ...]:
        """Lease up to `limit` of what is due."""
        # Now and then whoever waits longest, so that a stream of what is urgent does not starve the rest.
        late, kit = self._since_longest_due >= _URGENT_IN_A_ROW, self._kit
        leases = await kit.store.lease(kit.name, limit, LEASE_SECONDS, room=self._room(), longest_due=late)
        self._taken_at = kit.clock.monotonic() if leases else self._taken_at
        self._since_longest_due = 0 if late else self._since_longest_due + len(leases)
        return leases

    async def due(self) -> float | None:
        """Return when the next one that would be taken is due, in Unix seconds; None when there is none."""
        takes = [priority for priority, places in self._room().items() if places]
        return await self._kit.store.next_due(self._kit.name, max(takes)) if takes else None

    def _room(self) -> dict[Priority, int]:
        # What is urgent finds a free worker, however much else there is to do.
        return room(self._kit.workers, Counter(job.lease.priority for job in self._jobs.values()))

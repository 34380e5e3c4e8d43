"""Which leases a lane takes next: what is urgent first, and now and then whoever waits longest."""

import math
from collections import Counter
from collections.abc import Mapping

from replicator.errors import StoreError
from replicator.model import IntentKey, Lease, Priority
from replicator.replication.lane_kit import LaneKit
from replicator.replication.renewal import LEASE_SECONDS
from replicator.replication.worker import Job
from replicator.retry import Breaker
from replicator.shares import room

PROBE_SECONDS = 20.0
"""After so long a probe of which the replica took bytes keeps the next one back no longer."""
_AGAIN = 1.0  # seconds until a store is asked again that failed
_URGENT_IN_A_ROW = 3  # leases by urgency between two by waiting time


class NextLeases:
    """Leases for one lane, of which `jobs` are under way. What the store raises, StoreError, goes through."""

    def __init__(self, kit: LaneKit, jobs: Mapping[IntentKey, Job]) -> None:
        self._kit = kit
        self._jobs = jobs
        self._since_longest_due = 0
        self._taken_at = 0.0
        self._all_due = True
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

    async def make_all_due(self) -> int:
        """Make all that failed due now, parked or not, and return how many; a store that cannot is asked again."""
        self._all_due = False
        try:
            count = await self._kit.store.make_due(self._kit.name)
        except StoreError:
            return 0
        self._all_due = True
        return count

    async def take(self, limit: int) -> tuple[Lease, ...]:
        """Lease up to `limit` of what is due."""
        if not self._all_due:
            await self.make_all_due()
        # Now and then whoever waits longest, so that a stream of what is urgent does not starve the rest.
        late, kit = self._since_longest_due >= _URGENT_IN_A_ROW, self._kit
        leases = await kit.store.lease(kit.name, limit, LEASE_SECONDS, room=self._room(), longest_due=late)
        self._taken_at = kit.clock.monotonic() if leases else self._taken_at
        self._since_longest_due = 0 if late else self._since_longest_due + len(leases)
        return leases

    async def due(self) -> float | None:
        """Return when the next one that would be taken is due, in Unix seconds; None when there is none."""
        takes = [priority for priority, places in self._room().items() if places]
        due = await self._kit.store.next_due(self._kit.name, max(takes)) if takes else None
        return due if self._all_due else min(math.inf if due is None else due, self._kit.clock.now() + _AGAIN)

    def _room(self) -> dict[Priority, int]:
        # What is urgent finds a free worker, however much else there is to do.
        return room(self._kit.workers, Counter(job.lease.priority for job in self._jobs.values()))

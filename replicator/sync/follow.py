"""Follows what a sync made owed until each reference is settled, or given up as things stand."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import anyio
import structlog

from replicator.clock import Clock
from replicator.errors import Reason
from replicator.model import IntentKey, Repository
from replicator.replication.bring import Tally
from replicator.replication.waiting import wait_within
from replicator.store.outcome import Done, Parked, Result, Retry
from replicator.sync.events import SyncEvent
from replicator.sync.progress import Failed

TRIES = 5
"""Failed attempts after which a reference is left to whoever comes later."""
PATIENCE = 60.0
"""Seconds without a success or a byte, while attempts fail, after which a replica is taken for down."""
IDLE = 600.0
"""The same where nothing fails and nothing moves, for example since the lane is paused meanwhile."""
_LOOK_EVERY = 1.0

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Replica:
    """What is followed on one replica; `moved_at` is when something last went well there, by the monotonic clock."""

    moved_at: float
    pending: dict[IntentKey, int] = field(default_factory=dict)
    found: int = 0
    settled: int = 0
    put: int = 0
    sent: int = 0
    mounted: int = 0
    running: dict[IntentKey, Tally] = field(default_factory=dict)
    failed: dict[IntentKey, Failed] = field(default_factory=dict)
    bytes_before: int = 0
    last_failure: str = ""
    problem: str = ""

    def bytes_sent(self) -> int:
        """Return the bytes on the wire so far, those of updates under way included."""
        return self.sent + sum(tally.sent for tally in self.running.values())

    def bytes_mounted(self) -> int:
        """Return the bytes mounted so far."""
        return self.mounted + sum(tally.mounted for tally in self.running.values())


class Follow:
    """Watches the lanes of `replicas`; counts what they do in repositories that `concern` the sync."""

    def __init__(
        self,
        replicas: Iterable[str],
        concerns: Callable[[Repository], bool],
        clock: Clock,
    ) -> None:
        self._concerns = concerns
        self._clock = clock
        self._replicas = {name: _Replica(clock.monotonic()) for name in replicas}
        self._changed = anyio.Event()

    def owe(self, key: IntentKey) -> None:
        """Follow a reference; to be called before it becomes owed."""
        replica = self._replicas[key.replica]
        if not replica.pending:
            replica.moved_at = self._clock.monotonic()
        if key not in replica.pending:
            replica.found += 1
        replica.pending[key] = 0

    def lose(self, name: str, problem: str) -> None:
        """Wait for a replica no longer."""
        replica = self._replicas[name]
        replica.problem = replica.problem or problem
        for key in replica.pending:
            replica.failed[key] = Failed(key=key, reason=Reason.OTHER, message=problem)
        replica.pending.clear()
        self._ring()

    # What the lanes tell

    def begun(self, key: IntentKey, tally: Tally) -> None:
        """Take note of work on a reference."""
        replica = self._replicas.get(key.replica)
        if replica is not None and self._concerns(key.repository):
            replica.running[key] = tally

    def ended(self, key: IntentKey, outcome: Done | Retry | Parked | None) -> None:
        """Take note of how it ended."""
        replica = self._replicas.get(key.replica)
        if replica is None:
            return
        tally = replica.running.pop(key, None)
        if tally is not None:
            replica.sent += tally.sent
            replica.mounted += tally.mounted
        if isinstance(outcome, Done):
            self._succeeded(replica, key, outcome)
        elif outcome is not None:
            self._failed(replica, key, outcome)
        self._ring()

    def _succeeded(self, replica: _Replica, key: IntentKey, outcome: Done) -> None:
        replica.moved_at, replica.last_failure = self._clock.monotonic(), ""
        if outcome.result is Result.SUPERSEDED:
            return
        if outcome.result is Result.COPIED and self._concerns(key.repository):
            replica.put += 1
        given_up = replica.failed.pop(key, None) is not None
        if replica.pending.pop(key, None) is not None or given_up:
            replica.settled += 1

    def _failed(self, replica: _Replica, key: IntentKey, outcome: Retry | Parked) -> None:
        replica.last_failure = outcome.message
        if key not in replica.pending:
            return
        replica.pending[key] += 1
        if isinstance(outcome, Parked) or replica.pending[key] >= TRIES:
            del replica.pending[key]
            replica.failed[key] = Failed(key=key, reason=outcome.reason, message=outcome.message)

    # Waiting

    async def settled(self) -> None:
        """Return when nothing is waited for any more."""
        while any(replica.pending for replica in self._replicas.values()):
            await wait_within(self._clock, _LOOK_EVERY, self._changed)
            for name, replica in self._replicas.items():
                self._look(name, replica)

    def _look(self, name: str, replica: _Replica) -> None:
        """Give a replica up that has been in trouble for too long."""
        now, sent = self._clock.monotonic(), replica.bytes_sent()
        if sent != replica.bytes_before:
            replica.bytes_before, replica.moved_at = sent, now
        still = now - replica.moved_at
        if not replica.pending or still <= (PATIENCE if replica.last_failure else IDLE):
            return
        problem = f"given up after {still:.0f} s without progress: {replica.last_failure or 'nothing was begun'}"
        _log.warning(SyncEvent.SYNC_GIVEN_UP, replica=name, error=problem, left=len(replica.pending))
        self.lose(name, problem)

    def _ring(self) -> None:
        event, self._changed = self._changed, anyio.Event()
        event.set()

    # What is known

    def counts(self, name: str) -> Counter[str]:
        """Return the figures of a replica, by the names that ReplicaProgress has for them."""
        one = self._replicas[name]
        return Counter(
            found=one.found,
            settled=one.settled,
            failed=len(one.failed),
            put=one.put,
            sent=one.bytes_sent(),
            mounted=one.bytes_mounted(),
        )

    def problem(self, name: str) -> str:
        """Return why a replica is waited for no longer, "" if it is."""
        return self._replicas[name].problem

    def failed(self) -> tuple[Failed, ...]:
        """Return what failed, on all replicas."""
        return tuple(one for replica in self._replicas.values() for one in replica.failed.values())

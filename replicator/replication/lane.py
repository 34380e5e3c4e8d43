"""Everything that works for one replica: leases what is due, runs workers, settles, backs off, heals (G4, G6).

A lane shares nothing with another lane but source reads, which never make it wait. What is due lives in the store; a
lane only keeps the jobs under way.
"""

from collections.abc import Sequence

import anyio
import structlog
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint_if_cancelled

from replicator.errors import Reason, StoreError
from replicator.model import Digest, IntentKey
from replicator.observability.labels import LaneState
from replicator.registry.urgency import Urgency, urgent
from replicator.replication.events import ReplicationEvent
from replicator.replication.journal import Journal, about
from replicator.replication.lane_kit import LaneKit
from replicator.replication.lane_view import LaneView
from replicator.replication.moves import has_moved, is_left_out
from replicator.replication.next_leases import NextLeases
from replicator.replication.renewal import LEASE_SECONDS, renew_for_ever
from replicator.replication.waiting import wait_within
from replicator.replication.worker import Job, LeaseLost, Worker
from replicator.retry import Breaker
from replicator.store.outcome import Done, Outcome, Retry

_PUBLISH_MARGIN = 5.0
_IDLE = 30.0
_STORE_PAUSE = 1.0

_log = structlog.get_logger(__name__)


class Lane:
    """One replica's lane; `run` works until it is drained or cancelled."""

    def __init__(self, kit: LaneKit, worker: Worker) -> None:
        self._kit = kit
        self._worker = worker
        self._journal = Journal(kit.name, kit.metrics, kit.clock, kit.watchers)
        self._jobs: dict[IntentKey, Job] = {}
        self._spared: set[IntentKey] = set()
        self._breaker = Breaker()
        self._wake = anyio.Event()
        self._draining = False
        self._paused = False
        self._next = NextLeases(kit, self._jobs)
        self._group: TaskGroup | None = None
        self._seeding = False
        self._last_error = ""
        self._last_success: float | None = None

    def view(self) -> LaneView:
        """Return the lane's state now."""
        error, success = self._last_error, self._last_success
        return LaneView(state=self._state(), inflight=len(self._jobs), last_error=error, last_success=success)

    async def run(self) -> None:
        """Lease and work until drained; on cancellation the leases are given back."""
        self._show()
        await self.heed_pause()
        async with anyio.create_task_group() as group:
            self._group = group
            group.start_soon(renew_for_ever, self._kit.name, self._jobs, self._kit.store, self._kit.clock)
            while not self._draining:
                # Leasing is shielded, and what a job under cancellation gives back is due again at once.
                await checkpoint_if_cancelled()
                wake = self._wake
                if not await self._lease_some(group):
                    await wait_within(self._kit.clock, await self._pause(), wake)
            while self._jobs:
                wake = self._wake
                await wake.wait()
            group.cancel_scope.cancel()

    def seed(self, filling: bool) -> None:  # noqa: FBT001 -- the fact that the store tells
        """Say whether the replica is owed what only fills it: what was there before anybody pushed."""
        if filling != self._seeding:
            self._seeding = filling
            self._show()

    def drain(self) -> None:
        """Take no new work; `run` returns when the jobs under way have ended."""
        self._draining = True
        self._ring()

    def stop_jobs(self) -> None:
        """Cut the jobs under way short; their leases are given back, nothing is counted as failed."""
        for job in self._jobs.values():
            job.scope.cancel()

    async def try_again(self) -> None:
        """Make all that failed due now, parked or not."""
        await self._next.make_all_due()
        self.mended()

    def mended(self) -> None:
        """Look at once for what is due: somebody says that what it failed of is mended. An open lane probes now."""
        self._breaker = self._breaker.probing_now()
        self._ring()

    async def heed_pause(self) -> None:
        """Ask the store whether an operator paused the lane. It gives a paused one no lease; this shows it."""
        try:
            paused = await self._kit.store.paused_since(self._kit.name) is not None
        except StoreError as error:
            self._last_error = str(error)
            return
        if paused != self._paused:
            event = ReplicationEvent.LANE_PAUSED if paused else ReplicationEvent.LANE_RESUMED
            _log.info(event, replica=self._kit.name)
        self._paused = paused
        self._show()
        self._ring()

    # Leasing

    async def _lease_some(self, group: TaskGroup) -> bool:
        if self._paused:
            return False
        limit = self._next.limit(self._breaker)
        if limit <= 0:
            return False
        asked = self._kit.clock.monotonic()
        try:
            leases = await self._next.take(limit)
            if not leases and self._breaker.tripped and await self._kit.store.make_due(self._kit.name, limit=1):
                # Half-open with nothing due: one failing row is the probe, so that the lane heals by itself.
                leases = await self._next.take(limit)
        except StoreError as error:
            self._last_error = str(error)
            _log.error(ReplicationEvent.LEASE_FAILED, replica=self._kit.name, error=str(error))
            await self._kit.clock.sleep(_STORE_PAUSE)
            return True
        for lease in leases:
            job = Job(lease, held_until=asked + LEASE_SECONDS)
            former = self._jobs.get(lease.key)
            if former is not None:
                # Its lease has run out, for example while the machine slept: it must not put any more.
                former.scope.cancel()
            self._jobs[lease.key] = job
            self._journal.begun(job)
            group.start_soon(self._do, job)
        return bool(leases)

    async def _pause(self) -> float:
        """Seconds until the lane must look again by itself; the bell shortens it."""
        clock = self._kit.clock
        if self._paused:
            return _IDLE
        closed_for = self._breaker.open_until - clock.monotonic()
        if self._breaker.tripped and self._next.probes:
            return _IDLE
        if self._breaker.tripped and closed_for > 0:
            return closed_for
        try:
            due = await self._next.due()
        except StoreError:
            return _STORE_PAUSE
        return _IDLE if due is None else min(_IDLE, max(0.0, due - clock.now()))

    # Working

    async def _do(self, job: Job) -> None:
        lease = job.lease
        outcome: Outcome | None = None

        async def may_publish() -> None:
            # A registry has no compare-and-swap: without a lease that outlives the put, another may be ahead of us.
            if self._kit.clock.monotonic() > job.held_until - _PUBLISH_MARGIN:
                raise LeaseLost(f"the lease of {lease.key} is about to end")

        started = self._kit.clock.monotonic()
        with about(lease):
            try:
                with job.scope, urgent(Urgency(lease.priority)):
                    outcome = await self._worker.work(job, may_publish)
            finally:
                await self._end(job, outcome, self._kit.clock.monotonic() - started)

    async def _end(self, job: Job, outcome: Outcome | None, seconds: float) -> None:
        """Tell the store what came of it, again and again while the lease holds and nobody cuts us short."""
        job.copying = None
        kept = False
        try:
            while True:
                with anyio.CancelScope(shield=True):
                    kept = await self._keep(job, outcome, seconds)
                if kept or self._kit.clock.monotonic() + _STORE_PAUSE > job.held_until:
                    break
                await self._kit.clock.sleep(_STORE_PAUSE)
        finally:
            if not kept:
                # The row stays owed and its lease runs out: the work is done again, which finds everything present.
                self._journal.unsettled(job.lease, self._last_error)
            if self._jobs.get(job.lease.key) is job:
                del self._jobs[job.lease.key]
            self._ring()

    async def _keep(self, job: Job, outcome: Outcome | None, seconds: float) -> bool:
        try:
            if outcome is None:
                await self._give_back(job)
            else:
                await self._settle(job, outcome, seconds)
        except StoreError as error:
            self._last_error = str(error)
            return False
        return True

    async def _give_back(self, job: Job) -> None:
        if job.superseded:
            self._spared.add(job.lease.key)
        if job.wrote:
            unknown = Retry(at=self._kit.clock.now(), reason=Reason.OTHER, message="cut short", wrote=True)
            await self._kit.store.settle(job.lease, unknown)
        else:
            await self._kit.store.release([job.lease])
        self._journal.released(job)

    async def _settle(self, job: Job, outcome: Outcome, seconds: float) -> None:
        if not await self._kit.store.settle(job.lease, outcome):
            self._journal.fenced(job.lease)
        elif isinstance(outcome, Done):
            self._journal.succeeded(job, outcome, seconds)
            self._spared.discard(job.lease.key)
            self._last_success = self._kit.clock.now()
            await self._turn(self._breaker.succeeded(), "")
        else:
            self._journal.failed(job, outcome)
            self._last_error = outcome.message
            if job.error is not None and not isinstance(job.error, LeaseLost | StoreError):
                now, chance = self._kit.clock.monotonic(), self._kit.rng.random()
                await self._turn(self._breaker.failed(job.error, now, self._kit.policy, chance), outcome.message)

    async def _turn(self, breaker: Breaker, error: str) -> None:
        """Take over the breaker's new state; a lane that heals has all its failing rows due at once."""
        before, self._breaker = self._breaker, breaker
        if before.tripped == breaker.tripped:
            return
        self._show()
        if breaker.tripped:
            self._next.opened()
            _log.warning(ReplicationEvent.LANE_OPENED, replica=self._kit.name, error=error)
        else:
            _log.info(ReplicationEvent.LANE_HEALED, replica=self._kit.name, due=await self._next.make_all_due())

    # Changes that arrive while a copy runs

    def changed(self, keys: Sequence[IntentKey]) -> None:
        """Take note that rows changed; to be told of every commit, on the event loop."""
        mine = [key for key in keys if key.replica == self._kit.name]
        if not mine:
            return
        self._ring()
        for key in mine:
            job = self._jobs.get(key)
            if job is None:
                continue
            job.moved = True
            if job.copying is not None and self._group is not None:
                self._group.start_soon(self._supersede, job, job.copying)

    async def _supersede(self, job: Job, copying: Digest) -> None:
        """Cut a copy short that is ignored now, or moved on: not twice in a row (G4), nor if nobody begins anew."""
        try:
            row = await self._kit.store.row(job.lease.key)
        except StoreError:
            return
        spared = self._paused or job.lease.key in self._spared or self._jobs.get(job.lease.key) is not job
        if is_left_out(row):
            job.scope.cancel()
        elif not spared and not job.wrote and has_moved(row, job.lease, copying):
            job.superseded = True
            job.scope.cancel()

    def _ring(self) -> None:
        event, self._wake = self._wake, anyio.Event()
        event.set()

    def _show(self) -> None:
        if not self._draining:  # the state shown may be that of the lane that comes after
            self._journal.state(self._state(), self._kit.workers)

    def _state(self) -> LaneState:
        if self._paused:
            return LaneState.PAUSED
        filling = LaneState.SEEDING if self._seeding else LaneState.RUNNING
        return LaneState.OPEN if self._breaker.tripped else filling

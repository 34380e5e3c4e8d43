"""One lease -> one outcome: survey, plan, copy; every error becomes a decision when to try again (DESIGN 3)."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import anyio
import anyio.lowlevel
import structlog

from replicator.errors import NotFound, ReplicatorError
from replicator.model import Digest, Intent, Lease, Priority, RawManifest, Recorded, Repository, parse_repository
from replicator.observability.labels import UpdateKind
from replicator.referrers import is_fallback_tag
from replicator.replication.bring import Tally
from replicator.replication.closure_copy import Destination
from replicator.replication.conflicts import Conflicts
from replicator.replication.copy import Copy
from replicator.replication.deletes import Deletes
from replicator.replication.delivery import Delivery, Order
from replicator.replication.events import ReplicationEvent
from replicator.replication.held import Held, held_digest
from replicator.replication.ports import IntentStore, Policies, Source
from replicator.replication.tag_reads import TagReads
from replicator.replication.tools import Tools
from replicator.retry import Failure, RetryPolicy, after_failure, look_delay
from replicator.store.outcome import Done, Outcome, Parked, Result, Retry
from replicator.together import first_error, together

_log = structlog.get_logger(__name__)


class LeaseLost(ReplicatorError):
    """The lease ended, or is about to, before the reference was put: another worker may have it."""

    temporary = True


@dataclass(slots=True)
class Job:
    """One lease that is being worked on: what it copies now, whether a change came meanwhile, and how to stop it.

    `held_until` is when the lease ends, by the monotonic clock.
    """

    lease: Lease
    held_until: float = 0.0
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    copying: Digest | None = None
    moved: bool = False
    superseded: bool = False
    tally: Tally = field(default_factory=Tally)
    error: ReplicatorError | None = None
    copy: Copy | None = None
    deleting: bool = False

    @property
    def wrote(self) -> bool:
        """Whether the reference may have been put, or deleted."""
        return self.deleting or (self.copy is not None and self.copy.publishing)


class Worker:
    """Does the jobs of one lane, several at a time; keeps nothing between them but caches."""

    def __init__(  # noqa: PLR0913 -- the parts of a lane that are not shared by its copies
        self,
        tools: Tools,
        *,
        source: Source,
        prefix: str,
        store: IntentStore,
        tags: TagReads,
        policies: Policies,
        delivery: Delivery,
        deletes: Deletes,
        policy: RetryPolicy,
        rng: random.Random,
    ) -> None:
        self._tools = tools
        self._source = source
        self._prefix = prefix
        self._store = store
        self._conflicts = Conflicts(store, tools.metrics)
        self._tags = tags
        self._policies = policies
        self._delivery = delivery
        self._deletes = deletes
        self._policy = policy
        self._rng = rng

    async def work(self, job: Job, may_publish: Callable[[], Awaitable[None]]) -> Outcome:
        """Return how the job ended. Never raises for anything that a registry, the store or the content did."""
        try:
            if job.lease.look:
                return await self._look(job, may_publish)
            target = self._target(job.lease.key.repository)
            async with self._tools.standstill.copying(target) as waited:
                if waited:  # another lane may have deleted what this one believes to be there
                    self._tools.presence.forget(target)
                return await self._make_equal(job, may_publish)
        except ReplicatorError as error:
            return self._failed(job, error)
        except Exception as error:  # noqa: BLE001 -- the worker's edge: one bad image must not stop its lane
            _log.exception(ReplicationEvent.ATTEMPT_CRASHED)
            unexpected = ReplicatorError(f"unexpected {type(error).__name__}; see the log")
            unexpected.temporary = True
            return self._failed(job, unexpected)

    async def _make_equal(self, job: Job, may_publish: Callable[[], Awaitable[None]]) -> Outcome:
        """Copy what the source names now, while the replica is asked what it has: that costs no time of its own."""
        order = self._order(job, may_publish)
        if is_fallback_tag(job.lease.key.reference):
            return await self._complete_list(job, order)
        damaged = await self._store.wanted_repair(job.lease.key)
        if damaged is not None:
            outcome = await self._repair(job, order, damaged)
            await self._store.repaired(job.lease)
            return outcome
        held = Held(self._tools.replica, order.where.target, job.lease.key.reference)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(held.ask)
                outcome = await self._copy_named(job, held, order)
                if not held.answered.is_set():
                    group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            raise first_error(errors) from errors
        return outcome

    async def _copy_named(self, job: Job, held: Held, order: Order) -> Outcome:
        lease, target = job.lease, order.where.target
        top = await self._at_source(lease, anew=lease.attempts > 0)
        if top is not None and (lease.priority is Priority.LOW or self._is_probably_there(lease, top.digest, target)):
            # Nothing is begun in vain; what is not urgent has time for that anyway.
            await held.answered.wait()
            if job.moved:
                # The replica took its time to answer: what the source said before that may be superseded by now.
                top = await self._at_source(lease, anew=True)
        if top is None:
            return self._gone(lease)
        if await self._delivery.is_left_out(order, top):
            return self._done(lease, Result.LEFT_OUT, top)
        keeps = order.policy.keeps_conflicts
        if keeps:
            await held.answered.wait()
            await self._conflicts.refuse_foreign(lease.key, held.digest, top.digest)
            order = replace(order, may_publish=self._unless_foreign(order, top.digest))
        job.copying = top.digest
        with held.unless_it_is(top.digest, lambda: job.wrote) as needed:
            await anyio.lowlevel.checkpoint()  # goes no further when the answer is known already
            delivered = await self._delivery.deliver(order, top)
        if needed.cancel_called:
            return await self._complete(job, order, top)
        if held.answered.is_set() and not keeps:
            await self._conflicts.overwritten(lease.key, held.digest, top.digest)
        return replace(self._done(lease, Result.COPIED, top, delivered.covered), put=order.owns(put=job.wrote))

    def _unless_foreign(self, order: Order, wanted: Digest) -> Callable[[], Awaitable[None]]:
        """Return what is asked right before a tag is put that stays as it is should somebody else have put it."""
        key = order.lease.key

        async def may_publish() -> None:
            held = await held_digest(self._tools.replica, order.where.target, key.reference)
            await self._conflicts.refuse_foreign(key, held, wanted)
            if not isinstance(key.reference, Digest):
                await self._conflicts.about_to_put(key, wanted)
            await order.may_publish()

        return may_publish

    async def _repair(self, job: Job, order: Order, damaged: frozenset[Digest]) -> Outcome:
        """Copy what the source names as if the replica held nothing of it, except that what it has is not sent."""
        lease = job.lease
        top = await self._at_source(lease, anew=True)
        if top is None:
            return self._gone(lease)
        if await self._delivery.is_left_out(order, top):
            return self._done(lease, Result.LEFT_OUT, top)
        held = await held_digest(self._tools.replica, order.where.target, lease.key.reference)
        keeps = order.policy.keeps_conflicts
        if keeps:
            await self._conflicts.refuse_foreign(lease.key, held, top.digest)
            order = replace(order, may_publish=self._unless_foreign(order, top.digest))
        job.copying = top.digest
        delivered = await self._delivery.deliver(order, top, damaged)
        if not keeps:
            await self._conflicts.overwritten(lease.key, held, top.digest)
        return replace(self._done(lease, Result.COPIED, top, delivered.covered), put=order.owns(put=job.wrote))

    async def _complete(self, job: Job, order: Order, top: RawManifest) -> Outcome:
        """Settle what the replica has already, once it also has what belongs to it."""
        delivered = await self._delivery.complete(order, top)
        result = Result.COPIED if delivered.copied else Result.ALREADY_PRESENT
        return self._done(job.lease, result, top, delivered.covered)

    async def _complete_list(self, job: Job, order: Order) -> Outcome:
        """Bring what the source lists as referrers, by a list or by its API; on the replica it is merged in."""
        top = await self._at_source(job.lease, anew=job.lease.attempts > 0)
        delivered = await self._delivery.complete_list(order, top)
        if top is None and not delivered.covered:
            return self._gone(job.lease)
        result = Result.COPIED if delivered.copied else Result.ALREADY_PRESENT
        return self._done(job.lease, result, top, delivered.covered)

    def _gone(self, lease: Lease) -> Done:
        return Done(result=Result.GONE, digest=None, look_at=self._look_at(lease.looks), looks=lease.looks + 1)

    def _done(self, lease: Lease, result: Result, top: RawManifest | None, covered: tuple[Digest, ...] = ()) -> Done:
        """Settle; another look is due where this is not what the event said."""
        digest = None if top is None else top.digest
        look_at = None if lease.digest in {None, digest} else self._look_at(lease.looks)
        looks = 0 if look_at is None else lease.looks + 1
        return Done(result=result, digest=digest, look_at=look_at, looks=looks, covered=covered)

    def _order(self, job: Job, may_publish: Callable[[], Awaitable[None]]) -> Order:
        key = job.lease.key

        def on_copy(copy: Copy) -> None:
            job.copy = copy

        where = Destination(repository=key.repository, target=self._target(key.repository), tally=job.tally)
        policy = self._policies.policy(key.replica, key.repository, key.reference)
        return Order(lease=job.lease, policy=policy, where=where, may_publish=may_publish, on_copy=on_copy)

    def _is_probably_there(self, lease: Lease, digest: Digest, target: Repository) -> bool:
        """Say whether the replica's answer is worth waiting for, since it may well save all the rest."""
        if isinstance(lease.key.reference, Digest):
            return self._tools.presence.knows(target, digest)
        return lease.have == digest

    async def _at_source(self, lease: Lease, *, anew: bool = False) -> RawManifest | None:
        try:
            return await self._tags.read(self._source, lease.key, lease.digest, anew=anew)
        except NotFound:
            return None

    async def _look(self, job: Job, may_publish: Callable[[], Awaitable[None]]) -> Outcome:
        """Look a second time: owed is what the primary names anew, and what a late put undid on the replica."""
        lease = job.lease
        reference, target = lease.key.reference, self._target(lease.key.repository)

        async def named() -> Digest | None:
            there = await self._source.stat_manifest(lease.key.repository, reference)
            return None if there is None else there.digest

        async def held_there() -> Digest | None:
            # What nobody may read is taken for what was put last: no look will ever tell more.
            return await held_digest(self._tools.replica, target, reference, withheld=lease.have)

        found, held = await together((named, held_there))

        async def may_write() -> None:
            await may_publish()
            job.deleting = True

        deleted = await self._deletes.look(lease, target, found, may_write)
        if deleted is not None:
            return deleted
        if is_fallback_tag(reference):
            held = found  # the replica's own list is another one
        if found is not None and {held, lease.have} != {found}:
            now = self._tools.clock.now()
            intent = Intent(
                key=lease.key,
                digest=found,
                since=now,
                due_at=now,
                priority=lease.priority,
                fingerprint=lease.fingerprint,
                delivery=lease.delivery,
            )
            recorded = await self._store.record([intent])
            if recorded == (Recorded.ACCEPTED,):
                kind = UpdateKind.DIGEST if isinstance(lease.key.reference, Digest) else UpdateKind.TAG
                self._tools.metrics.update_owed(lease.key.replica, kind)
            return Done(result=Result.ALREADY_PRESENT, digest=lease.have, look_at=None, looks=0)
        settled = found is not None and lease.digest in {None, found}
        return Done(
            result=Result.GONE if found is None else Result.ALREADY_PRESENT,
            digest=lease.have,
            look_at=None if settled else self._look_at(lease.looks),
            looks=lease.looks + 1,
        )

    def _look_at(self, looks: int) -> float | None:
        delay = look_delay(looks)
        return None if delay is None else self._tools.clock.now() + delay

    def _target(self, repository: Repository) -> Repository:
        return parse_repository(self._prefix + repository)

    def _failed(self, job: Job, error: ReplicatorError) -> Outcome:
        job.error = error
        lease, now = job.lease, self._tools.clock.now()
        failure = Failure(error=error, attempts=lease.attempts, failing_since=lease.failing_since, now=now)
        again = after_failure(failure, self._policy, self._rng.random())
        kind = Parked if again.parked else Retry
        put = job.copying if job.wrote else None
        return kind(at=again.at, reason=error.reason, message=str(error), wrote=job.wrote, put=put)

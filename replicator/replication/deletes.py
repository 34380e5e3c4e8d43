"""Deletes reach a replica: re-checked, after their grace period, never too many at once, nothing needed (G8)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog

from replicator.clock import Clock
from replicator.deletion import Bounds, Deletion, Doomed, Pace, Verdict, decide
from replicator.errors import NotFound, Reason, RegistryError, Withheld
from replicator.model import Digest, IntentKey, Lease, Reference, Repository
from replicator.observability.delete_metrics import DeleteMetrics
from replicator.observability.labels import DeleteResult
from replicator.replication.deletion_ports import DeletionStore
from replicator.replication.events import ReplicationEvent
from replicator.replication.ports import Policies, Replica, Source
from replicator.replication.removal import Removal
from replicator.replication.standstill import Watch
from replicator.settings.patterns import Patterns
from replicator.settings.schema import Deletes as DeleteSettings
from replicator.store.outcome import Done, Result
from replicator.store.rows import Pending

LEFT_FOR = 86_400.0
"""Seconds after which it is asked again why something was left: a registry may have been upgraded."""
STOPPED_FOR = 3600.0
"""Seconds after which what is stopped is looked at again; `resume --deletes` does not wait for it."""
BUSY_FOR = 60.0
"""Seconds after which a manifest is looked at again that was not deleted because a copy came between."""
_UNKNOWN_THERE = frozenset({"MANIFEST_UNKNOWN", "TAG_UNKNOWN", "NOT_FOUND"})
_LEFT = {
    Verdict.PROTECTED: DeleteResult.PROTECTED,
    Verdict.NOT_OURS: DeleteResult.NOT_OURS,
    Verdict.UNSUPPORTED: DeleteResult.UNSUPPORTED,
    Verdict.NEEDED: DeleteResult.NEEDED,
    Verdict.NEED_UNKNOWN: DeleteResult.NEED_UNKNOWN,
}
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One reference whose look is due: its lease, where it is on the replica, and what asks whether the lease holds.

    `watch` tells whether anything was copied to its repository meanwhile.
    """

    lease: Lease
    target: Repository
    watch: Watch
    may_write: Callable[[], Awaitable[None]]

    @property
    def key(self) -> IntentKey:
        """The row."""
        return self.lease.key

    @property
    def reference(self) -> Reference:
        """The tag, or the digest of a manifest without one."""
        return self.lease.key.reference


class Deletes:
    """Carries out what is to be deleted on one replica."""

    def __init__(  # noqa: PLR0913 -- both registries, what is kept and what is configured
        self,
        *,
        primary: Source,
        replica: Replica,
        removal: Removal,
        store: DeletionStore,
        policies: Policies,
        settings: DeleteSettings,
        metrics: DeleteMetrics,
        clock: Clock,
    ) -> None:
        self._primary = primary
        self._replica = replica
        self._removal = removal
        self._store = store
        self._policies = policies
        self._protected = Patterns(settings.protect, versions=False) if settings.protect else None
        self._bounds = Bounds(count=settings.breaker.count, percent=settings.breaker.percent)
        self._grace = settings.grace
        self._metrics = metrics
        self._clock = clock

    async def look(
        self, lease: Lease, target: Repository, found: Digest | None, may_write: Callable[[], Awaitable[None]]
    ) -> Done | None:
        """Return what became of a reference that is to be deleted where the primary lost it; None for all others.

        `found` is what the primary names now. Raises RegistryError, ContentError, StoreError, and what
        `may_write` raises.
        """
        key = lease.key
        if found is None:
            with self._removal.watching(target) as watch:
                return await self.carry_out(Case(lease=lease, target=target, watch=watch, may_write=may_write))
        if self._policies.policy(key.replica, key.repository, key.reference).deletes:
            await self.still_there(key)
        return None

    async def carry_out(self, case: Case) -> Done | None:
        """Return what became of a reference that the primary seems to lack; None where it is not to be deleted.

        Raises as `look`.
        """
        pending = await self._store.deletion(case.key)
        if pending is None:
            return await self._found_lost(case)
        doomed = await self._found_out(case, pending)
        verdict = decide(doomed, self._bounds)
        if verdict is Verdict.DELETE and pending.left is not None:
            # What was left was not counted as due: from now on it is, so that all of it together is not too much.
            await self._store.leave_deletion(case.key, None)
            pending = replace(pending, left=None)
            doomed = replace(doomed, pace=await self._store.deletion_pace(case.key.replica))
            verdict = decide(doomed, self._bounds)
        if verdict is Verdict.TRIP:
            await self._store.stop_deletes(case.key.replica)
            _log.error(ReplicationEvent.DELETES_STOPPED, due=doomed.pace.due, done=doomed.pace.done)
        if verdict is Verdict.DELETE and doomed.held is not None:
            return await self._delete(case, pending, doomed.held)
        return await self._kept(case, pending, verdict)

    async def _found_lost(self, case: Case) -> Done | None:
        """Have a manifest of ours deleted of which nobody told, or before its push was told; None for all others.

        Of a tag that the primary lost a sweep finds that out.
        """
        key, now = case.key, self._clock.now()
        if not isinstance(case.reference, Digest) or case.lease.have != case.reference:
            return None
        if not self._policies.propagates(key.replica, key.repository, case.reference, case.lease.fingerprint):
            return None
        await self._store.add_deletions([Deletion(key=key, found_at=now, due_at=now + self._grace)])
        pending = await self._store.deletion(key)
        return None if pending is None else self._again(case, pending.due_at)

    async def still_there(self, key: IntentKey) -> None:
        """Forget that something is to be deleted which the primary has. Raises StoreError."""
        if await self._store.deletion(key) is not None:
            await self._cancel(key)

    async def _found_out(self, case: Case, pending: Pending) -> Doomed:
        """Ask for what decides, as far as it is not decided before."""
        key, replica = case.key, case.key.replica
        now = self._clock.now()
        protected = self._is_protected(key)
        propagates = self._policies.propagates(replica, key.repository, case.reference, case.lease.fingerprint)
        at_primary: bool | None = None
        held: Digest | None = None
        alone, needed = False, None
        pace = Pace(done=0, due=0, tags=0)
        if propagates and now >= pending.due_at:
            if not (pending.approved or pending.stopped):  # else it decides nothing, and it is counted anew each time
                pace = await self._store.deletion_pace(replica)
            at_primary = await self._at_primary(key.repository, case.reference)
            held = await self._held(case)
            if at_primary is False and held == case.lease.have and pending.put and not protected:
                alone, needed = await self._may_go(case, pending)
        return Doomed(
            now=now,
            due_at=pending.due_at,
            at_primary=at_primary,
            held=held,
            have=case.lease.have,
            put=pending.put,
            propagates=propagates,
            protected=protected,
            alone=alone,
            needed=needed,
            approved=pending.approved,
            stopped=pending.stopped,
            pace=pace,
        )

    def _is_protected(self, key: IntentKey) -> bool:
        """Say whether a pattern protects it; of a manifest also one that is written for all tags, as `app:*`."""
        return self._protected is not None and bool(self._protected.match(f"{key.repository}:{key.reference}"))

    async def _may_go(self, case: Case, pending: Pending) -> tuple[bool, bool | None]:
        """Return whether the replica removes just that, and whether something there needs it (None: not known)."""
        if not isinstance(case.reference, Digest):
            return await self._replica.prove_tag_delete_alone(case.target) is True, False
        if pending.stopped or case.watch.disturbed:
            return True, False  # it stays anyway: nobody is asked
        return True, await self._removal.is_needed(case.key, case.target, case.reference)

    async def _at_primary(self, repository: Repository, reference: Reference) -> bool | None:
        """Say whether the primary has it; False only by its own word for that, in an answer with a body (F9)."""
        try:
            await self._primary.read_manifest(repository, reference)
        except NotFound as error:
            return False if _tells_absence(error, repository, reference) else None
        return True

    async def _held(self, case: Case) -> Digest | None:
        """Return what the replica's reference names; of one that nobody may read, something that was never put."""
        try:
            found = await self._replica.stat_manifest(case.target, case.reference)
        except Withheld:
            return Digest.of(b"")
        return None if found is None else found.digest

    async def _delete(self, case: Case, pending: Pending, held: Digest) -> Done:
        async def last() -> None:
            await self._store.begin_deletion(case.key, held, approved=pending.approved)
            await case.may_write()

        try:
            if isinstance(case.reference, Digest):
                if not await self._removal.remove(case.target, case.reference, case.watch, last):
                    return self._again(case, self._clock.now() + BUSY_FOR)
            else:
                await last()
                await self._replica.delete_tag(case.target, case.reference)
        except RegistryError as error:
            if error.reason is Reason.UNSUPPORTED:
                return await self._kept(case, pending, Verdict.UNSUPPORTED)
            self._metrics.delete_ended(case.key.replica, DeleteResult.FAILED)
            raise
        self._metrics.delete_ended(case.key.replica, DeleteResult.DELETED)
        tagged = not isinstance(case.reference, Digest)
        event = ReplicationEvent.TAG_DELETED if tagged else ReplicationEvent.MANIFEST_DELETED
        _log.info(event, digest=str(held), approved=pending.approved)
        return Done(result=Result.DELETED, digest=None)

    async def _kept(self, case: Case, pending: Pending, verdict: Verdict) -> Done:
        """Return when to look again at what is not deleted now."""
        now = self._clock.now()
        if verdict is Verdict.ABSENT:
            self._metrics.delete_ended(case.key.replica, DeleteResult.ABSENT)
            return Done(result=Result.DELETED, digest=None)
        if verdict is Verdict.CANCEL:
            await self._cancel(case.key)
            return self._again(case, None)
        if verdict in {Verdict.STOPPED, Verdict.TRIP}:
            return self._again(case, now + STOPPED_FOR)
        if verdict is Verdict.WAIT and now < pending.due_at:
            return self._again(case, pending.due_at)
        result = _LEFT.get(verdict, DeleteResult.UNPROVEN)
        if pending.left != result:
            self._metrics.delete_ended(case.key.replica, result)
            tagged = not isinstance(case.reference, Digest)
            event = ReplicationEvent.TAG_NOT_DELETED if tagged else ReplicationEvent.MANIFEST_NOT_DELETED
            _log.warning(event, reason=result)
            await self._store.leave_deletion(case.key, result)
        return self._again(case, now + LEFT_FOR)

    async def _cancel(self, key: IntentKey) -> None:
        await self._store.cancel_deletion(key)
        self._metrics.delete_ended(key.replica, DeleteResult.CANCELLED)

    def _again(self, case: Case, at: float | None) -> Done:
        return Done(result=Result.GONE, digest=case.lease.have, look_at=at, looks=case.lease.looks)


def _tells_absence(error: NotFound, repository: Repository, reference: Reference) -> bool:
    """Say whether a 404 says of this very tag, or manifest, that there is none."""
    if not isinstance(reference, Digest):
        return error.code in _UNKNOWN_THERE
    # Harbor has one code for whatever it does not find, and a message that says what: no address is written so.
    of_harbor = error.code == "NOT_FOUND" and f"{repository}@{reference}" in error.said.split()
    return error.code == "MANIFEST_UNKNOWN" or of_harbor
